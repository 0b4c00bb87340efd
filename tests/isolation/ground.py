"""Two tenants with a row in every table, and the application's role between them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from infra.embedded.postgres import ADMIN, APP
from infra.postgres.house import HOUSE
from infra.postgres.migrate import Connection
from tests.isolation.filling import Filler, Table, fill
from tests.isolation.owners import Cluster

MINE, THEIRS = "mine-tenant", "theirs-tenant"


@dataclass(frozen=True)
class Ground:
    """A database in which `MINE` and `THEIRS` have rows that were made alike."""

    cluster: Cluster
    database: str
    filler: Filler

    @property
    def tenants_tables(self) -> list[Table]:
        return [table for name, table in self.filler.tables.items() if name not in HOUSE]

    def theirs(self, table: str) -> dict[str, Any]:
        return self.filler.made[table, THEIRS]

    @asynccontextmanager
    async def app(self, tenant: str | None = MINE) -> AsyncGenerator[Connection]:
        """The application, working for a tenant, in a transaction that comes to nothing."""
        async with self.cluster.open(APP, self.database) as connection:
            whole = connection.transaction()
            await whole.start()
            if tenant is not None:
                await connection.execute("select set_config('aither.tenant', $1, true)", tenant)
            try:
                yield connection
            finally:
                await whole.rollback()

    @asynccontextmanager
    async def admin(self) -> AsyncGenerator[Connection]:
        """Whoever sees all, in a transaction that comes to nothing."""
        async with self.cluster.open(ADMIN, self.database) as connection:
            whole = connection.transaction()
            await whole.start()
            try:
                yield connection
            finally:
                await whole.rollback()


async def prepared(cluster: Cluster, database: str) -> Ground:
    """The database, with the rows in it."""
    async with cluster.open(ADMIN, database) as admin:
        return Ground(cluster, database, await fill(admin, (MINE, THEIRS)))


async def digests(admin: Connection, ground: Ground, tenant: str) -> dict[str, str]:
    """What stands in each table for a tenant."""
    return {
        table.name: await admin.fetchval(
            f"select coalesce(md5(string_agg(t::text, ';' order by t::text)), '') from aither.{table.name} t"
            f" where {table.owner} = $1",
            tenant,
        )
        for table in ground.tenants_tables
    }
