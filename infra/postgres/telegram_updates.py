"""What comes from Telegram, kept before anybody says that it has come; who reads it; and when messages may go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from infra.postgres.database import Database

PATIENCE_S = 5.0
HOLD = timedelta(seconds=30)
"""How long an update is one process's, which may die with it."""
KEEP = timedelta(days=3)
"""How long an update is known, to be dealt with once; Telegram repeats one for a day at most."""
CHAT_GAP = timedelta(seconds=1)
GROUP_GAP = timedelta(seconds=3)
GAP = timedelta(milliseconds=40)
"""Between messages to one person, to one group, and to anybody: 1 a second, 20 a minute, 30 a second are allowed."""
LEAD_TTL = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An update to be dealt with. `attempts` counts this one."""

    update_id: int
    body: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whether a message may go out, and in how many seconds; or in how many one may ask again."""

    taken: bool
    wait_s: float


class PostgresTelegramUpdates:
    """One bot's updates, its leading process, and its pace. Of no tenant."""

    def __init__(self, database: Database, bot_id: int) -> None:
        self._db = database
        self._bot = bot_id

    async def keep(self, updates: Sequence[tuple[int, str]]) -> int:
        """Stores updates, each an id and its JSON; how many are new. Once this returns, they will be dealt with."""
        status = await self._db.run(
            lambda c: c.execute(
                "insert into aither.telegram_updates (bot_id, update_id, body)"
                " select $1, u.id, u.body from unnest($2::bigint[], $3::text[]) u (id, body)"
                " on conflict do nothing",
                self._bot,
                [update_id for update_id, _ in updates],
                [body for _, body in updates],
            ),
            patience=PATIENCE_S,
        )
        return int(status.rpartition(" ")[2])

    async def due(self, limit: int) -> list[Due]:
        """Takes up updates that wait, in their order; nobody else gets them for `HOLD`."""
        rows = await self._db.run(
            lambda c: c.fetch("select * from aither.telegram_due($1, $2, $3)", self._bot, limit, HOLD)
        )
        found = [Due(update_id=row["update_id"], body=row["body"], attempts=row["attempts"]) for row in rows]
        return sorted(found, key=lambda each: each.update_id)

    async def done(self, update_id: int) -> None:
        """The update has been dealt with; what it said is forgotten."""
        await self._db.run(
            lambda c: c.execute(
                "update aither.telegram_updates set due_at = null, body = null"
                " where bot_id = $1 and update_id = $2",
                self._bot,
                update_id,
            ),
            patience=PATIENCE_S,
        )

    async def later(self, update_id: int, after: timedelta) -> None:
        """The update is due again after this."""
        await self._db.run(
            lambda c: c.execute(
                "update aither.telegram_updates set due_at = clock_timestamp() + $3"
                " where bot_id = $1 and update_id = $2 and due_at is not null",
                self._bot,
                update_id,
                after,
            ),
        )

    async def forget(self) -> None:
        """Drops what was dealt with so long ago that it cannot come again."""
        await self._db.run(
            lambda c: c.execute(
                "delete from aither.telegram_updates where due_at is null and received_at < now() - $1::interval",
                KEEP,
            )
        )

    async def waiting(self) -> int:
        """Updates that have not been dealt with."""
        count = await self._db.run(
            lambda c: c.fetchval(
                "select count(*) from aither.telegram_updates where bot_id = $1 and due_at is not null",
                self._bot,
            )
        )
        return int(count or 0)

    async def lead(self, holder: str, ttl: timedelta = LEAD_TTL) -> bool:
        """Whether `holder` is the process that reads, from now on for `ttl`."""
        return bool(
            await self._db.run(
                lambda c: c.fetchval("select aither.telegram_lead($1, $2, $3)", self._bot, holder, ttl)
            )
        )

    async def step_down(self, holder: str) -> None:
        """Another process may read at once."""
        await self._db.run(
            lambda c: c.execute(
                "delete from aither.telegram_leads where bot_id = $1 and holder = $2", self._bot, holder
            )
        )

    async def leader(self) -> str | None:
        """Which process reads; None where none has lately."""
        return await self._db.run(
            lambda c: c.fetchval(
                "select holder from aither.telegram_leads where bot_id = $1 and expires_at > now()", self._bot
            )
        )

    async def place(self, chat_id: int, most: timedelta) -> Place:
        """A message's place in what may be sent to this chat, unless that is further off than `most`."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.telegram_pace($1, $2, $3, $4)",
                chat_id,
                GROUP_GAP if chat_id < 0 else CHAT_GAP,
                GAP,
                most,
            ),
            patience=PATIENCE_S,
        )
        assert row is not None
        return Place(taken=row["taken"], wait_s=row["wait_s"])

    async def note_blocked(self, chat_id: int, blocked: bool) -> None:
        """Whether the chat takes nothing of the bot's."""
        await self._db.run(
            lambda c: c.execute(
                "insert into aither.telegram_chats as h (chat_id, blocked_at)"
                " values ($1, case when $2 then clock_timestamp() end)"
                " on conflict (chat_id) do update set blocked_at ="
                " case when $2 then coalesce(h.blocked_at, excluded.blocked_at) end"
                " where (h.blocked_at is not null) <> $2",
                chat_id,
                blocked,
            ),
            patience=PATIENCE_S,
        )
