"""What people do on Telegram: taps, notes, codes. What follows for an approval is PostgreSQL's to say, not ours.

Everything here may run twice for the same update. Who somebody is follows from their account's id alone.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass

from telegram import CallbackQuery, Chat, ChatMemberUpdated, Message, Update

from activities.approval_ports import Deciding
from activities.contracts.approvals import (
    Answer,
    ApprovalRef,
    ApprovalView,
    Choice,
    Person,
    Surface,
    Verdict,
)
from activities.errors import AitherError, StoreUnavailable
from infra.postgres.telegram import PostgresTelegram, Standing
from infra.postgres.telegram_cards import NoteKept, PostgresTelegramCards, Tapped, Verb
from infra.postgres.telegram_updates import PostgresTelegramUpdates
from infra.postgres.turns import storable
from infra.telegram import cards
from infra.telegram.announcing import TelegramAnnouncer
from infra.telegram.client import ChatClosed, TelegramRefused
from infra.telegram.sending import Messenger

log = logging.getLogger(__name__)

NOTE_CHARS = 2000
FOLLOW_S = 5.0
CODE = re.compile(r"[2-9a-hjkmnp-z]{4}(-?[2-9a-hjkmnp-z]{4}){3}", re.IGNORECASE)
WANTED = (Update.MESSAGE, Update.CALLBACK_QUERY, Update.MY_CHAT_MEMBER)
"""The kinds of updates that are asked for."""

UNBOUND = "You are not bound to anybody here. Ask an operator for a code: aither telegram bind YOUR-NAME"
NOT_HERE = "Approvals are not decided in this chat."
OUTDATED = "This button is not known any more."
LATER = "Received; the database is away for a moment, and your choice is taken when it is back."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a person who tapped is told, whether they have to put it away, and what is done after that."""

    words: str
    alert: bool = True
    then: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What updates are dealt with by. `groups` are the chats, beside private ones, in which anything is done."""

    messenger: Messenger
    bindings: PostgresTelegram
    cards: PostgresTelegramCards
    updates: PostgresTelegramUpdates
    approvals: Deciding
    announcer: TelegramAnnouncer
    tell: Callable[[ApprovalRef], Awaitable[None]]
    """Has the approval's workflow look at it. Nothing hangs on this: its sweep sees it too."""
    groups: Set[int]
    bot_id: int

    async def take(self, body: str) -> None:
        """Deals with one update. Raises what may heal, `StoreUnavailable` and `TelegramUnavailable`: take it again."""
        update = Update.de_json(json.loads(body))
        if update.callback_query is not None:
            await self._tap(update.callback_query)
        elif update.message is not None:
            await self._hear(update.message)
        elif update.my_chat_member is not None:
            await self._member(update.my_chat_member)

    # Taps -------------------------------------------------------------------------------------------------

    async def _tap(self, query: CallbackQuery) -> None:
        """The person is answered first: Telegram does not wait for what follows, which may."""
        try:
            reply = await self._press(query)
        except StoreUnavailable:
            await self._toast(query, LATER, alert=False)
            raise
        await self._toast(query, reply.words, alert=reply.alert)
        if reply.then is not None:
            await reply.then()

    async def _press(self, query: CallbackQuery) -> Reply:
        message = query.message
        if message is None or not self._allowed(message.chat):
            return Reply(words=NOT_HERE)
        tapped = await self.cards.tapped(query.data or "", query.from_user.id)
        if tapped is None or tapped.card.chat_id != message.chat.id:
            return Reply(words=OUTDATED)
        # A message that was sent, and not noted, when a process died is known from now on.
        await self.cards.keep_message(tapped.card, self.bot_id, message.message_id)
        if tapped.press.verb is Verb.CHOOSE:
            return await self._choose(tapped, query.from_user.id)
        if tapped.person is None:
            return Reply(words=UNBOUND)
        return await self._details(tapped)

    async def _choose(self, tapped: Tapped, user_id: int) -> Reply:
        ref = tapped.card.approval
        # Also a stranger's choice is put to the approval, whose trail has it then.
        choice = Choice(
            by=tapped.person or f"telegram:{user_id}",
            option=tapped.press.option,
            scope=tapped.scope,
            surface=Surface.TELEGRAM,
            note=tapped.note,
        )
        answer = await self.approvals.decide(ref, choice)
        taken = answer.verdict in {Verdict.DECIDED, Verdict.COUNTED}

        async def follow() -> None:
            if taken:
                await _tried(self.tell(ref), ref)
            if taken or answer.verdict is Verdict.CLOSED:
                await _tried(self.announcer.refresh(ref), ref)

        words = _answered(answer, await self.approvals.view(ref), tapped)
        return Reply(words=words, alert=not taken, then=follow)

    async def _details(self, tapped: Tapped) -> Reply:
        view = await self.approvals.view(tapped.card.approval)
        texts = cards.details(view) if view else []

        async def send() -> None:
            for text in texts:
                said = await self._say(tapped.card.chat_id, text)
                if said is not None:
                    await self.cards.keep_message(tapped.card, self.bot_id, said, is_card=False)

        return Reply(words="", alert=False, then=send) if texts else Reply(words="There are no details.")

    async def _toast(self, query: CallbackQuery, words: str, *, alert: bool) -> None:
        """Said once: a person who taps waits for a moment only, and the card tells the rest."""
        try:
            await self.messenger.toast(query.id, words, alert=alert)
        except AitherError as error:
            log.info("a tap was not answered: %s", error.message)

    # Words ------------------------------------------------------------------------------------------------

    async def _hear(self, message: Message) -> None:
        if message.from_user is None or message.from_user.is_bot or not self._allowed(message.chat):
            return
        text = (message.text or "").strip()
        if message.reply_to_message is not None and text:
            replied = await self.cards.replied(
                self.bot_id, message.chat.id, message.reply_to_message.message_id, message.from_user.id
            )
            if replied is not None:
                words = await self._note(replied.approval, replied.person, text)
                await self._say(message.chat.id, words, reply_to=message.message_id)
                return
        if message.chat.type == Chat.PRIVATE:
            await self._talk(message, text)

    async def _note(self, ref: ApprovalRef, person: str | None, text: str) -> str:
        if person is None:
            return UNBOUND
        match await self.cards.note(ref, person, storable(text)[:NOTE_CHARS]):
            case NoteKept.KEPT:
                return "Kept. It goes with your choice: the buttons are on the card."
            case NoteKept.LATE:
                return "Kept, though the approval has ended already."
            case _:
                return "This approval is not yours to decide, so the note is not kept."

    async def _talk(self, message: Message, text: str) -> None:
        assert message.from_user is not None
        word = text.removeprefix("/start").strip()
        if CODE.fullmatch(word):
            await self._bind(message, word)
            return
        bound = await self.bindings.bound(message.from_user.id)
        if bound:
            who = ", ".join(f"{each.person} of {each.tenant_id}" for each in bound)
            await self._say(message.chat.id, f"You decide as {who}. Approvals come here by themselves.")
        else:
            await self._say(message.chat.id, UNBOUND)

    async def _bind(self, message: Message, code: str) -> None:
        assert message.from_user is not None
        standing = await self.bindings.bind(code, message.from_user.id, message.from_user.name)
        if standing is None:
            await self._say(message.chat.id, "This code is not good, or not any more. Ask for a new one.")
            return
        await self._say(
            message.chat.id,
            f"You decide as {standing.person} of {standing.tenant_id} from now on. Approvals come here by themselves.",
        )
        await self._show_waiting(standing)

    async def _show_waiting(self, standing: Standing) -> None:
        """Cards of what waits for somebody who has just come, or come back."""
        for ref in await self.cards.waiting_for(standing.tenant_id, standing.person):
            view = await self.approvals.view(ref)
            if view is not None:
                await _tried(self.announcer.announce(view, (Person(name=standing.person),)), ref)

    async def _member(self, change: ChatMemberUpdated) -> None:
        """The bot was blocked, or is welcome again: then what waits is shown."""
        gone = change.new_chat_member.status in {"left", "kicked"}
        await self.updates.note_blocked(change.chat.id, gone)
        if not gone and change.chat.type == Chat.PRIVATE:
            for standing in await self.bindings.bound(change.from_user.id):
                await self._show_waiting(standing)

    async def _say(self, chat_id: int, text: str, reply_to: int | None = None) -> int | None:
        """The message's id; None where the chat takes nothing."""
        try:
            return await self.messenger.say(chat_id, text, reply_to)
        except (ChatClosed, TelegramRefused) as error:
            log.info("a reply was not taken: %s", error.message)
            return None

    def _allowed(self, chat: Chat) -> bool:
        return chat.type == Chat.PRIVATE or chat.id in self.groups


async def _tried(step: Awaitable[None], ref: ApprovalRef) -> None:
    """What only makes things quicker may fail, and may not take long."""
    try:
        async with asyncio.timeout(FOLLOW_S):
            await step
    except Exception as error:
        log.warning("%s is told of later: %s", ref.approval_id, type(error).__name__)


def _answered(answer: Answer, view: ApprovalView | None, tapped: Tapped) -> str:
    """What the person who chose is told."""
    if answer.verdict is Verdict.STRANGER:
        return UNBOUND if tapped.person is None else "This approval is not yours to decide."
    if answer.verdict is Verdict.COUNTED:
        return f"Counted. {answer.wanted} more must say the same."
    if view is None or answer.verdict is Verdict.NOT_FOUND:
        return "There is no such approval any more."
    if answer.decision is None:
        return "This cannot be chosen any more."
    told = cards.outcome(view, answer.decision, tapped.time_zone)
    return told if answer.verdict is Verdict.DECIDED else f"Too late. {told}"
