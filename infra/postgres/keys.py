"""API keys: made once, shown once, kept as a hash."""

import hashlib
import hmac
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg
import msgspec

from activities.contracts.policy import Bounds
from activities.errors import AitherError
from infra.ids import new_id
from infra.postgres.database import Connection, Database
from infra.postgres.people import PersonNotFound

PREFIX = "ak_"
CACHE_S = 5.0
"""How long an authenticated key is trusted without asking again, hence how long a revoked one may live on."""
CACHE_SIZE = 10_000
NO_BOUNDS = Bounds()

_bounds = msgspec.json.Decoder(Bounds)


class KeyNotFound(AitherError):
    """No such key for this tenant."""

    code = "key_not_found"


class Role(StrEnum):
    """What a key may do beside asking: nothing, join as a model server, or run the house."""

    USER = "user"
    SERVICE = "service"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is calling. `priority_ceiling` is the most urgent priority (1 to 5) that the key may ask for.

    `ladder` serves the model `auto`; None leaves that to the configuration. `fairness_weight` is the tenant's
    share of a pool for which others wait too. `person` is as whom the key decides approvals.
    """

    tenant_id: str
    key_id: str
    priority_ceiling: int
    tenant_bounds: Bounds = NO_BOUNDS
    key_bounds: Bounds = NO_BOUNDS
    ladder: str | None = None
    role: Role = Role.USER
    fairness_weight: float = 1.0
    person: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is listed; the secret itself is known to its holder alone."""

    id: str
    name: str
    shown: str
    priority_ceiling: int
    bounds: Bounds
    ladder: str | None
    role: Role
    created_at: datetime
    revoked_at: datetime | None
    person: str | None = None


class PostgresKeys:
    """Makes, lists, revokes and checks API keys."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def authenticate(self, secret: str) -> Caller | None:
        """The caller that the key stands for, or None. 256 random bits need no more than one SHA-256."""
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        now = time.monotonic()
        known = self._known.get(digest)
        if known and known[0] > now:
            return known[1]
        row = await self._db.run(
            lambda c: c.fetchrow("select * from aither.authenticate($1)", digest), patience=5.0
        )
        if row is None or not hmac.compare_digest(bytes(row["secret_sha256"]), digest):
            self._known.pop(digest, None)
            return None
        caller = Caller(
            tenant_id=row["tenant_id"],
            key_id=row["key_id"],
            priority_ceiling=row["priority_ceiling"],
            tenant_bounds=_bounds.decode(row["tenant_policy"]),
            key_bounds=_bounds.decode(row["policy"]),
            ladder=row["ladder"],
            role=Role(row["role"]),
            fairness_weight=row["fairness_weight"],
            person=row["person"],
        )
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (now + CACHE_S, caller)
        return caller

    async def create(
        self,
        tenant_id: str,
        name: str,
        *,
        priority_ceiling: int = 1,
        tenant_name: str | None = None,
        bounds: Bounds = NO_BOUNDS,
        ladder: str | None = None,
        role: Role = Role.USER,
        person: str | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret; the tenant is made where it is new. Raises `PersonNotFound`."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key_id = new_id("key")

        async def query(connection: Connection) -> ApiKey:
            await connection.execute(
                "insert into aither.tenants (id, name) values ($1, $2) on conflict do nothing",
                tenant_id,
                tenant_name or tenant_id,
            )
            row = await connection.fetchrow(
                "insert into aither.api_keys"
                " (tenant_id, id, name, secret_sha256, shown, priority_ceiling, policy, ladder, role, person)"
                " select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 where $10::text is null or exists ("
                " select from aither.people where tenant_id = $1 and name = $10) returning *",
                tenant_id,
                key_id,
                name,
                hashlib.sha256(secret.encode()).digest(),
                secret[:8],
                priority_ceiling,
                said(bounds),
                ladder,
                role.value,
                person,
            )
            if row is None:
                raise PersonNotFound(
                    f"there is nobody called {person}; `aither people add` makes a person known"
                )
            return _api_key(row)

        return await self._db.in_tenant(tenant_id, query), secret

    async def list(self, tenant_id: str) -> list[ApiKey]:
        """The tenant's keys, newest first."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select * from aither.api_keys where tenant_id = $1 order by id desc", tenant_id
            ),
        )
        return [_api_key(row) for row in rows]

    async def revoke(self, tenant_id: str, key_id: str) -> ApiKey:
        """Revokes the key for good; revoking twice changes nothing. Raises `KeyNotFound`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "update aither.api_keys set revoked_at = coalesce(revoked_at, now())"
                " where tenant_id = $1 and id = $2 returning *",
                tenant_id,
                key_id,
            ),
        )
        if row is None:
            raise KeyNotFound(f"there is no key {key_id}; `aither key list` shows those there are")
        return _api_key(row)


def said(bounds: Bounds) -> str:
    """The bounds as JSON, without what they leave open."""
    given = {name: value for name, value in asdict(bounds).items() if value is not None}
    return msgspec.json.encode(given).decode()


def _api_key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        shown=row["shown"],
        priority_ceiling=row["priority_ceiling"],
        bounds=_bounds.decode(row["policy"]),
        ladder=row["ladder"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        person=row["person"],
    )
