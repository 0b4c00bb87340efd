"""Tenants: what all the turns of one may do and cost."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from activities.contracts.policy import Bounds
from activities.errors import AitherError
from infra.postgres.database import Database
from infra.postgres.keys import said


class TenantNotFound(AitherError):
    """No such tenant."""

    code = "tenant_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant. `bounds` hold for every turn of all its keys."""

    id: str
    name: str
    bounds: Bounds
    created_at: datetime


_bounds = msgspec.json.Decoder(Bounds)


class PostgresTenants:
    """Shows and bounds tenants; they are made with their first key."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, tenant_id: str) -> Tenant:
        """The tenant. Raises `TenantNotFound`."""
        row = await self._db.in_tenant(
            tenant_id, lambda c: c.fetchrow("select * from aither.tenants where id = $1", tenant_id)
        )
        return _tenant(tenant_id, row)

    async def bound(self, tenant_id: str, bounds: Bounds) -> Tenant:
        """The tenant with these bounds in place of what it had. Raises `TenantNotFound`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "update aither.tenants set policy = $2 where id = $1 returning *", tenant_id, said(bounds)
            ),
        )
        return _tenant(tenant_id, row)


def _tenant(tenant_id: str, row: asyncpg.Record | None) -> Tenant:
    if row is None:
        raise TenantNotFound(
            f"there is no tenant {tenant_id}; `aither key create NAME --tenant {tenant_id}` makes it"
        )
    return Tenant(
        id=row["id"], name=row["name"], bounds=_bounds.decode(row["policy"]), created_at=row["created_at"]
    )
