"""Applies the SQL migrations: in order, each once, and never one that has changed since it was applied.

`aither db migrate` applies them to the database of AITHER_ADMIN_DATABASE_URL, whose role owns the schema, and
`python -m infra.postgres.migrate` does no more than that. The embedded stack does it by itself. A project on
Supabase may have them by its own command line instead: see `infra.postgres.supabase_layout`.
"""

import asyncio
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

LEDGER = (
    "create schema if not exists aither_ops;"
    "create table if not exists aither_ops.migrations ("
    " number integer primary key, name text not null, sha256 text not null,"
    " applied_at timestamptz not null default now())"
)
"""Where it is written down which have been applied."""
HAS_LEDGER = "select to_regclass('aither_ops.migrations') is not null"
FOLDER = Path(__file__).parent.parent / "sql"
FILE_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
LOCK = 0x41697468
"""Held while migrations run, so that two installations of one database take turns."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class MigrationError(Exception):
    """The migrations on disk and those in the database do not fit together; says which, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What tells that a file has changed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Standing(StrEnum):
    """How a migration stands in a database. Only `MISSING` ones can be applied."""

    APPLIED = "applied"
    MISSING = "missing"
    CHANGED = "changed"
    LATE = "late"
    """It is missing, and one with a higher number has been applied."""
    UNKNOWN = "unknown"
    """The database has had it, and this version does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A migration as it stands."""

    number: int
    name: str
    standing: Standing
    applied_at: datetime | None = None


def read(folder: Path) -> list[Migration]:
    """The migrations in a folder, by number. Raises `MigrationError` for a bad name or a number used twice."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if not match:
            raise MigrationError(f"{path.name}: a migration is named NNN_what_it_does.sql")
        number = int(match[1])
        if number in found:
            raise MigrationError(f"{path.name} and {found[number].name} have the same number")
        found[number] = Migration(number=number, name=path.name, sql=path.read_text())
    return list(found.values())


async def migrate(connection: Connection, folder: Path = FOLDER) -> list[str]:
    """Applies what is missing, each file in a transaction of its own; returns the names of those applied."""
    migrations = read(folder)
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        missing = _missing(migrations, await _applied(connection))
        for migration in missing:
            await _apply(connection, migration)
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)
    return [migration.name for migration in missing]


async def entries(connection: Connection, folder: Path = FOLDER) -> list[Entry]:
    """Every migration that is in the folder or in the database, by number. Changes nothing."""
    applied: dict[int, asyncpg.Record] = {}
    if await connection.fetchval(HAS_LEDGER):
        for row in await connection.fetch(
            "select number, name, sha256, applied_at from aither_ops.migrations"
        ):
            applied[row["number"]] = row
    known = {migration.number: migration for migration in read(folder)}
    newest = max(applied, default=0)
    return [
        _entry(number, known.get(number), applied.get(number), newest)
        for number in sorted({*known, *applied})
    ]


def _entry(number: int, migration: Migration | None, row: asyncpg.Record | None, newest: int) -> Entry:
    if row is None:
        assert migration is not None
        standing = Standing.LATE if number < newest else Standing.MISSING
        return Entry(number=number, name=migration.name, standing=standing)
    standing = Standing.APPLIED
    if migration is None:
        standing = Standing.UNKNOWN
    elif migration.checksum != row["sha256"]:
        standing = Standing.CHANGED
    return Entry(number=number, name=row["name"], standing=standing, applied_at=row["applied_at"])


async def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    if not await connection.fetchval(HAS_LEDGER):
        await connection.execute(LEDGER)
    rows = await connection.fetch("select number, name, sha256 from aither_ops.migrations order by number")
    return {row["number"]: (row["name"], row["sha256"]) for row in rows}


def _missing(migrations: list[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    on_disk = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in applied.items():
        migration = on_disk.get(number)
        if migration is None:
            raise MigrationError(
                f"the database has had {name}, which this version does not know: run the version that made it"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"{migration.name} has changed since it was applied: put it back as it was,"
                " and make the change in a new migration"
            )
    newest = max(applied, default=0)
    missing = [migration for migration in migrations if migration.number not in applied]
    for migration in missing:
        if migration.number < newest:
            raise MigrationError(
                f"{migration.name} comes before {applied[newest][0]}, which has been applied: renumber it"
            )
    return missing


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into aither_ops.migrations (number, name, sha256) values ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"{migration.name} failed and was rolled back: {_explained(migration, error)}"
        ) from error


def _explained(migration: Migration, error: asyncpg.PostgresError) -> str:
    details: dict[str, Any] = error.as_dict()
    position = details.get("position")
    line = f" (line {migration.sql.count(chr(10), 0, int(position)) + 1})" if position else ""
    return f"{error}{line}"


async def _main() -> int:
    url = os.environ.get("AITHER_ADMIN_DATABASE_URL")
    if not url:
        sys.stderr.write("set AITHER_ADMIN_DATABASE_URL to a role that owns the schema\n")
        return 2
    connection = await asyncpg.connect(url)
    try:
        applied = await migrate(connection)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        await connection.close()
    sys.stdout.write("\n".join(applied or ["nothing to apply"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
