"""People of a tenant: who may be asked, in which roles, by which clock."""

from collections.abc import Sequence

import asyncpg

from activities.contracts.approvals import Person
from activities.errors import AitherError
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0


class PersonNotFound(AitherError):
    """No such person of this tenant."""

    code = "person_not_found"


class PostgresPeople:
    """Keeps, lists and removes them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, tenant_id: str, person: Person) -> None:
        """Adds the person, or changes roles and time zone of the one of that name."""

        async def query(connection: Connection) -> None:
            await connection.execute(
                "insert into aither.people (tenant_id, name, roles, time_zone) values ($1, $2, $3, $4)"
                " on conflict (tenant_id, name)"
                " do update set roles = excluded.roles, time_zone = excluded.time_zone",
                tenant_id,
                person.name,
                list(person.roles),
                person.time_zone,
            )

        await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def list(self, tenant_id: str) -> list[Person]:
        """All of them, by name."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch("select * from aither.people where tenant_id = $1 order by name", tenant_id),
            patience=PATIENCE_S,
        )
        return [_person(row) for row in rows]

    async def get(self, tenant_id: str, name: str) -> Person:
        """The person of that name. Raises `PersonNotFound`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "select * from aither.people where tenant_id = $1 and name = $2", tenant_id, name
            ),
            patience=PATIENCE_S,
        )
        if row is None:
            raise _nobody(name)
        return _person(row)

    async def unknown(self, tenant_id: str, names: Sequence[str]) -> set[str]:
        """Those of the names that nobody has."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select name from aither.people where tenant_id = $1 and name = any ($2)",
                tenant_id,
                list(names),
            ),
            patience=PATIENCE_S,
        )
        return set(names) - {row["name"] for row in rows}

    async def remove(self, tenant_id: str, name: str) -> None:
        """Removes the person, who decides nothing from now on. Raises `PersonNotFound`."""
        found = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchval(
                "delete from aither.people where tenant_id = $1 and name = $2 returning true", tenant_id, name
            ),
            patience=PATIENCE_S,
        )
        if not found:
            raise _nobody(name)


def _person(row: asyncpg.Record) -> Person:
    return Person(name=row["name"], roles=tuple(row["roles"]), time_zone=row["time_zone"])


def _nobody(name: str) -> PersonNotFound:
    return PersonNotFound(f"there is nobody called {name}; `aither people list` shows who there is")
