"""Tenants: what all the turns of one may do and cost, and how large its share is where many wait."""

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
    """A tenant. `bounds` hold for every turn of all its keys.

    Of a pool for which tenants wait at the same priority, each gets a share by its `fairness_weight`.
    """

    id: str
    name: str
    bounds: Bounds
    fairness_weight: float
    created_at: datetime


class TenantExists(AitherError):
    """The name is taken."""

    code = "tenant_exists"


_bounds = msgspec.json.Decoder(Bounds)


class PostgresTenants:
    """Makes, shows and bounds tenants; a tenant's first key makes it too."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, tenant_id: str, *, fairness_weight: float = 1.0) -> Tenant:
        """A new tenant. Raises `TenantExists`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "insert into aither.tenants (id, name, fairness_weight) values ($1, $1, $2)"
                " on conflict do nothing returning *",
                tenant_id,
                fairness_weight,
            ),
        )
        if row is None:
            raise TenantExists(f"there is a tenant {tenant_id} already; `aither tenant set` changes it")
        return _tenant(row)

    async def list(self) -> list[Tenant]:
        """All tenants, by name."""
        rows = await self._db.run(lambda c: c.fetch("select * from aither.tenant_list()"))
        return [_tenant(row) for row in rows]

    async def weigh(self, tenant_id: str, fairness_weight: float) -> Tenant:
        """The tenant with this weight in place of what it had. Raises `TenantNotFound`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "update aither.tenants set fairness_weight = $2 where id = $1 returning *",
                tenant_id,
                fairness_weight,
            ),
        )
        return _found(tenant_id, row)

    async def get(self, tenant_id: str) -> Tenant:
        """The tenant. Raises `TenantNotFound`."""
        row = await self._db.in_tenant(
            tenant_id, lambda c: c.fetchrow("select * from aither.tenants where id = $1", tenant_id)
        )
        return _found(tenant_id, row)

    async def bound(self, tenant_id: str, bounds: Bounds) -> Tenant:
        """The tenant with these bounds in place of what it had. Raises `TenantNotFound`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "update aither.tenants set policy = $2 where id = $1 returning *", tenant_id, said(bounds)
            ),
        )
        return _found(tenant_id, row)


def _found(tenant_id: str, row: asyncpg.Record | None) -> Tenant:
    if row is None:
        raise TenantNotFound(
            f"there is no tenant {tenant_id}; `aither key create NAME --tenant {tenant_id}` makes it"
        )
    return _tenant(row)


def _tenant(row: asyncpg.Record) -> Tenant:
    return Tenant(
        id=row["id"],
        name=row["name"],
        bounds=_bounds.decode(row["policy"]),
        fairness_weight=row["fairness_weight"],
        created_at=row["created_at"],
    )
