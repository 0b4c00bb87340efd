"""Grants in PostgreSQL: yeses that reach further than the ask they were given to."""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from activities.contracts.approvals import DEFAULT_ROLE, Grant
from activities.errors import AitherError
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0
_PLACE = "select seq from aither.grants where tenant_id = $1 and id = $2"
"""Places count the grants of all tenants, so none is told."""

_grant = msgspec.json.Decoder(Grant)


class GrantNotFound(AitherError):
    """No such grant of this tenant."""

    code = "grant_not_found"


class NotYours(AitherError):
    """Only whoever gave it, and who runs the house, may take it back."""

    code = "forbidden"


class PostgresGrants:
    """Lists and revokes them; decisions make them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self, tenant_id: str, *, every: bool, before: str | None, limit: int
    ) -> list[dict[str, Any]] | None:
        """Up to `limit` grants, newest first, from after the one called `before`; None where there is none.

        Those in force, or `every` one that ever was.
        """

        async def query(connection: Connection) -> list[dict[str, Any]] | None:
            place = await connection.fetchval(_PLACE, tenant_id, before) if before is not None else None
            if before is not None and place is None:
                return None
            rows = await connection.fetch(
                "select aither.grant_view(g) as shown from aither.grants g where g.tenant_id = $1"
                " and ($2 or (g.revoked_at is null and g.expires_at > now()))"
                " and ($3::bigint is null or g.seq < $3) order by g.seq desc limit $4",
                tenant_id,
                every,
                place,
                limit,
            )
            return [orjson.loads(row["shown"]) for row in rows]

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def get(self, tenant_id: str, grant_id: str) -> Grant:
        """The grant. Raises `GrantNotFound`."""
        shown = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchval(
                "select aither.grant_view(g) from aither.grants g where g.tenant_id = $1 and g.id = $2",
                tenant_id,
                grant_id,
            ),
            patience=PATIENCE_S,
        )
        if shown is None:
            raise GrantNotFound(
                f"there is no grant {grant_id}; `aither approvals grants` lists those there are"
            )
        return _grant.decode(shown)

    async def revoke(self, tenant_id: str, grant_id: str, by: str, roles: Sequence[str]) -> Grant:
        """Takes the grant back for good; twice changes nothing. Raises `GrantNotFound` and `NotYours`.

        A person's roles are looked up; a key brings its own.
        """

        async def query(connection: Connection) -> bool | None:
            return await connection.fetchval(
                "update aither.grants g set revoked_at = coalesce(g.revoked_at, now()),"
                " revoked_by = coalesce(g.revoked_by, $3) where g.tenant_id = $1 and g.id = $2"
                " and (g.given_by = $3 or $5 = any (case when position(':' in $3) > 0 then $4::text[] else coalesce(("
                " select p.roles from aither.people p where p.tenant_id = $1 and p.name = $3), '{}') end))"
                " returning true",
                tenant_id,
                grant_id,
                by,
                list(roles),
                DEFAULT_ROLE,
            )

        done = await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)
        grant = await self.get(tenant_id, grant_id)
        if not done:
            raise NotYours(f"{grant.by} gave this grant; only they or an operator take it back")
        return grant
