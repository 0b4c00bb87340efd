"""Where the cards of approvals stand on Telegram: their messages, what their buttons mean, what was replied."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from activities.contracts.approvals import ApprovalRef, Scope
from activities.contracts.telegram import CardRef
from infra.postgres.database import Database

PATIENCE_S = 5.0
WAITING_MOST = 20
"""Open approvals that somebody who has just been bound is shown at once."""


class Verb(StrEnum):
    """What a button is for."""

    CHOOSE = "choose"
    DETAILS = "details"


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """What a button means, whoever presses it."""

    verb: Verb
    option: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button of a card. Its `id` is all that Telegram gets to know of it."""

    id: str
    verb: Verb
    option: str
    scope: str

    @property
    def press(self) -> Press:
        """What it means."""
        return Press(verb=self.verb, option=self.option, scope=self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMessage:
    """A message that shows a card. `shown` is a digest of what it shows, None where that is not known."""

    id: int
    shown: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What has to be known to show a card. `reminded` counts the reminders that its chat has had."""

    person: str | None
    time_zone: str
    reminded: int
    buttons: tuple[Button, ...]
    messages: tuple[CardMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tapped:
    """A button that was pressed, and by whom: None for somebody who is not bound. `note` is theirs from before."""

    card: CardRef
    press: Press
    person: str | None
    time_zone: str
    note: str

    @property
    def scope(self) -> Scope:
        """How far what it chooses is to reach."""
        return Scope(self.press.scope or Scope.ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The approval that a message was about, and who replies to it; None for somebody who is not bound."""

    approval: ApprovalRef
    person: str | None


class NoteKept(StrEnum):
    """What became of a note: it goes with the choice, or came after the end, or is of no decider."""

    KEPT = "kept"
    LATE = "late"
    STRANGER = "stranger"


_buttons = msgspec.json.Decoder(tuple[Button, ...])
_messages = msgspec.json.Decoder(tuple[CardMessage, ...])


class PostgresTelegramCards:
    """Cards and their messages. Every call is one round trip, and safe to repeat."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def plan(
        self,
        ref: ApprovalRef,
        *,
        people: Sequence[str] = (),
        groups: Sequence[int] = (),
        presses: Sequence[Press] = (),
    ) -> list[CardRef]:
        """Makes the cards that are missing, for these people and of the tenant's groups these; all there are then."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select aither.telegram_plan($1, $2, $3, $4, $5, $6, $7) as chat_id",
                ref.tenant_id,
                ref.approval_id,
                list(people),
                list(groups),
                [press.verb.value for press in presses],
                [press.option for press in presses],
                [press.scope for press in presses],
            ),
            patience=PATIENCE_S,
        )
        return [
            CardRef(tenant_id=ref.tenant_id, approval_id=ref.approval_id, chat_id=row["chat_id"])
            for row in rows
        ]

    async def card(self, card: CardRef, bot_id: int) -> Card | None:
        """The card; None where there is none, or its chat is not that of its person any more."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.telegram_card($1, $2, $3, $4)",
                card.tenant_id,
                card.approval_id,
                card.chat_id,
                bot_id,
            ),
            patience=PATIENCE_S,
        )
        if row is None:
            return None
        return Card(
            person=row["person"],
            time_zone=row["time_zone"],
            reminded=row["reminded"],
            buttons=_buttons.decode(row["buttons"]),
            messages=_messages.decode(row["messages"]),
        )

    async def keep_message(
        self, card: CardRef, bot_id: int, message_id: int, *, is_card: bool = True, shown: str | None = None
    ) -> None:
        """Notes a message of the card, or what it shows now."""
        await self._write(
            card,
            "insert into aither.telegram_messages as m"
            " (tenant_id, approval_id, chat_id, bot_id, message_id, is_card, shown)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict (bot_id, chat_id, message_id)"
            " do update set shown = coalesce(excluded.shown, m.shown)",
            bot_id,
            message_id,
            is_card,
            shown,
        )

    async def drop_message(self, card: CardRef, bot_id: int, message_id: int) -> None:
        """The message cannot be edited any more, hence is no card."""
        await self._write(
            card,
            "update aither.telegram_messages set is_card = false where tenant_id = $1 and approval_id = $2"
            " and chat_id = $3 and bot_id = $4 and message_id = $5",
            bot_id,
            message_id,
        )

    async def note_reminded(self, card: CardRef, times: int) -> None:
        """The chat has had so many reminders."""
        await self._write(
            card,
            "update aither.telegram_cards set reminded = greatest(reminded, $4)"
            " where tenant_id = $1 and approval_id = $2 and chat_id = $3",
            times,
        )

    async def note_trouble(self, card: CardRef, why: str) -> None:
        """Why the card cannot be shown; empty where it can."""
        await self._write(
            card,
            "update aither.telegram_cards set trouble = $4"
            " where tenant_id = $1 and approval_id = $2 and chat_id = $3 and trouble <> $4",
            why[:500],
        )

    async def tapped(self, button_id: str, user_id: int) -> Tapped | None:
        """What the button means and who has pressed it; None where there is no such button."""
        row = await self._db.run(
            lambda c: c.fetchrow("select * from aither.telegram_button($1, $2)", button_id, user_id),
            patience=PATIENCE_S,
        )
        if row is None:
            return None
        return Tapped(
            card=CardRef(tenant_id=row["tenant_id"], approval_id=row["approval_id"], chat_id=row["chat_id"]),
            press=Press(verb=Verb(row["verb"]), option=row["option"], scope=row["scope"]),
            person=row["person"],
            time_zone=row["time_zone"] or "UTC",
            note=row["note"],
        )

    async def replied(self, bot_id: int, chat_id: int, message_id: int, user_id: int) -> Replied | None:
        """What a reply to this message is about; None where the message is of no card."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.telegram_reply($1, $2, $3, $4)", bot_id, chat_id, message_id, user_id
            ),
            patience=PATIENCE_S,
        )
        if row is None:
            return None
        ref = ApprovalRef(tenant_id=row["tenant_id"], approval_id=row["approval_id"])
        return Replied(approval=ref, person=row["person"])

    async def note(self, ref: ApprovalRef, person: str, note: str) -> NoteKept | None:
        """Keeps a person's note for what they choose, and in the audit trail; None for no such approval."""
        kept = await self._db.run(
            lambda c: c.fetchval(
                "select aither.telegram_note($1, $2, $3, $4)", ref.tenant_id, ref.approval_id, person, note
            ),
            patience=PATIENCE_S,
        )
        return NoteKept(kept) if kept else None

    async def waiting_for(self, tenant_id: str, person: str) -> list[ApprovalRef]:
        """Open approvals that the person may decide, newest first; a bounded number."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select aither.telegram_waiting($1, $2, $3) as id", tenant_id, person, WAITING_MOST
            ),
            patience=PATIENCE_S,
        )
        return [ApprovalRef(tenant_id=tenant_id, approval_id=row["id"]) for row in rows]

    async def _write(self, card: CardRef, sql: str, *parameters: object) -> None:
        await self._db.in_tenant(
            card.tenant_id,
            lambda c: c.execute(sql, card.tenant_id, card.approval_id, card.chat_id, *parameters),
            patience=PATIENCE_S,
        )
