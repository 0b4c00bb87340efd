"""Who is bound on Telegram, and as whom: people by their account's id, and groups that get cards too."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from activities.errors import AitherError
from infra.postgres.database import Connection, Database
from infra.postgres.people import PersonNotFound

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without what looks alike: a code may have to be typed."""
CODE_CHARS = 16
CODE_TTL = timedelta(minutes=15)
PATIENCE_S = 5.0


class NotBound(AitherError):
    """Nothing of that kind is bound."""

    code = "telegram_not_bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A person's account. `blocked_at`: since when it takes nothing of the bot's, as far as is known."""

    person: str
    user_id: int
    account: str
    bound_at: datetime
    blocked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group that gets the tenant's cards. Times on them are in its own zone."""

    chat_id: int
    time_zone: str
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """As whom an account is bound."""

    tenant_id: str
    person: str


class PostgresTelegram:
    """Binds and releases. A code is shown once and kept as its hash, like a key."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def offer(self, tenant_id: str, person: str, ttl: timedelta = CODE_TTL) -> str:
        """A code that binds whoever sends it first. Earlier ones of the person end. Raises `PersonNotFound`."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))

        async def query(connection: Connection) -> None:
            await connection.execute(
                "delete from aither.telegram_codes where tenant_id = $1 and person = $2", tenant_id, person
            )
            await connection.execute(
                "insert into aither.telegram_codes (sha256, tenant_id, person, expires_at)"
                " values ($1, $2, $3, clock_timestamp() + $4)",
                _digest(code),
                tenant_id,
                person,
                ttl,
            )

        try:
            await self._db.in_tenant(tenant_id, query)
        except asyncpg.ForeignKeyViolationError as error:
            raise PersonNotFound(
                f"there is no person {person}; `aither people add {person}` makes one"
            ) from error
        return "-".join(code[at : at + 4] for at in range(0, CODE_CHARS, 4))

    async def bind(self, code: str, user_id: int, account: str) -> Standing | None:
        """Binds the account to the code's person, in place of what either was bound to; None for a bad code."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.telegram_bind($1, $2, $3)", _digest(code), user_id, account[:100]
            ),
            patience=PATIENCE_S,
        )
        return Standing(tenant_id=row["tenant_id"], person=row["person"]) if row else None

    async def bound(self, user_id: int) -> list[Standing]:
        """As whom the account is bound, by tenant."""
        rows = await self._db.run(
            lambda c: c.fetch("select * from aither.telegram_bound($1)", user_id), patience=PATIENCE_S
        )
        return [Standing(tenant_id=row["tenant_id"], person=row["person"]) for row in rows]

    async def unbind(self, tenant_id: str, person: str) -> None:
        """The person's account decides nothing any more, and gets no cards. Raises `NotBound`."""

        async def query(connection: Connection) -> object:
            await connection.execute(
                "delete from aither.telegram_codes where tenant_id = $1 and person = $2", tenant_id, person
            )
            return await connection.fetchval(
                "delete from aither.telegram_bindings where tenant_id = $1 and person = $2 returning true",
                tenant_id,
                person,
            )

        if await self._db.in_tenant(tenant_id, query) is None:
            raise NotBound(f"{person} of {tenant_id} is not bound; `aither telegram status` shows who is")

    async def bindings(self, tenant_id: str) -> list[Binding]:
        """The tenant's accounts, by person."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select b.*, h.blocked_at from aither.telegram_bindings b"
                " left join aither.telegram_chats h on h.chat_id = b.user_id"
                " where b.tenant_id = $1 order by b.person",
                tenant_id,
            ),
        )
        return [
            Binding(
                person=row["person"],
                user_id=row["user_id"],
                account=row["account"],
                bound_at=row["bound_at"],
                blocked_at=row["blocked_at"],
            )
            for row in rows
        ]

    async def add_group(self, tenant_id: str, chat_id: int, time_zone: str) -> None:
        """The group gets the cards of the tenant's new approvals, where the settings allow it."""
        await self._db.in_tenant(
            tenant_id,
            lambda c: c.execute(
                "insert into aither.telegram_groups (tenant_id, chat_id, time_zone) values ($1, $2, $3)"
                " on conflict (tenant_id, chat_id) do update set time_zone = excluded.time_zone",
                tenant_id,
                chat_id,
                time_zone,
            ),
        )

    async def remove_group(self, tenant_id: str, chat_id: int) -> None:
        """The group gets no cards any more. Raises `NotBound`."""
        found = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchval(
                "delete from aither.telegram_groups where tenant_id = $1 and chat_id = $2 returning true",
                tenant_id,
                chat_id,
            ),
        )
        if found is None:
            raise NotBound(
                f"the group {chat_id} gets no cards of {tenant_id}; `aither telegram status` shows who does"
            )

    async def groups(self, tenant_id: str) -> list[Group]:
        """The tenant's groups."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select * from aither.telegram_groups where tenant_id = $1 order by chat_id", tenant_id
            ),
        )
        return [
            Group(chat_id=row["chat_id"], time_zone=row["time_zone"], added_at=row["added_at"])
            for row in rows
        ]


def _digest(code: str) -> bytes:
    """The same for every way of writing the code."""
    plain = "".join(char for char in code.lower() if char.isalnum())
    return hashlib.sha256(plain.encode()).digest()
