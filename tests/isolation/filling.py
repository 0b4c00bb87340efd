"""Rows for every table of tenants, made from the catalogue: types, checks and foreign keys say what will do."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra.postgres.house import HOUSE, tenant_column
from infra.postgres.migrate import Connection

SAID: Mapping[tuple[str, str], int] = {("telegram_groups", "chat_id"): -7}
"""What no rule here would come to."""
SECRET = "secret of "
"""What every text begins with that is neither a key nor bound by a check."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    needed: bool
    checks: str


@dataclass(frozen=True)
class Reference:
    """A foreign key, column by column."""

    table: str
    to: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    references: tuple[Reference, ...]
    keys: tuple[tuple[str, ...], ...]
    """The columns of each unique index, and of the primary key."""

    @property
    def owner(self) -> str:
        return tenant_column(self.name)

    @property
    def named(self) -> set[str]:
        """Columns that are part of a key or point to one."""
        pointing = {ours for reference in self.references for ours, _ in reference.columns}
        return pointing.union(*self.keys)


@dataclass
class Filler:
    """Makes rows of a tenant's, each number another one; what they point to has been made before."""

    tables: Mapping[str, Table]
    made: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict[tuple[str, str], dict[str, Any]])

    def row(self, table: Table, tenant: str, number: int = 0) -> dict[str, Any]:
        """A row that the table takes."""
        row: dict[str, Any] = {}
        for reference in table.references:
            parent = self.made.get((reference.to, tenant))
            for ours, theirs in reference.columns:
                if parent is not None and theirs in parent:
                    row[ours] = parent[theirs]
        row[table.owner] = tenant
        for column in table.columns:
            if column.name not in row and (column.needed or any(column.name in key for key in table.keys)):
                row[column.name] = _value(table, column, tenant, number)
        return row


def _value(table: Table, column: Column, tenant: str, number: int) -> Any:
    if (table.name, column.name) in SAID:
        return SAID[table.name, column.name] - number
    if literals := re.search(rf"\(?{column.name} = (?:ANY \(ARRAY\[)?'([^']+)'::text", column.checks):
        return literals[1]
    seed = hashlib.sha256(f"{table.name}/{column.name}/{tenant}/{number}".encode()).digest()
    now = datetime.now(UTC)
    if column.type == "text":
        key = column.name in table.named or column.name in column.checks
        return f"of-{tenant}-{number}-{seed.hex()[:16]}" if key else f"{SECRET}{tenant}: {table.name}"
    values: dict[str, Any] = {
        "bytea": seed,
        "json": json.dumps({"of": f"{SECRET}{tenant}"}),
        "boolean": True,
        "smallint": 1 + number,
        "integer": 1 + number,
        "bigint": int.from_bytes(seed[:4], "big") + 1,
        "double precision": 1.0,
        "date": date(2026, 1, 1 + number),
        "interval": timedelta(days=1),
        "timestamp with time zone": now + timedelta(days=1),
        "text[]": [],
        "timestamp with time zone[]": [],
    }
    return values[column.type]


_COLUMNS = (
    "select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,"
    " a.attnotnull and not a.atthasdef and a.attidentity = '' as needed,"
    " a.attidentity <> '' as counted,"
    " coalesce((select string_agg(pg_get_constraintdef(k.oid), ' ') from pg_constraint k"
    "  where k.conrelid = c.oid and k.contype = 'c' and a.attnum = any (k.conkey)), '') as checks"
    " from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
    " where c.relnamespace = 'aither'::regnamespace and c.relkind in ('r', 'p') order by 1, a.attnum"
)
_REFERENCES = (
    "select k.conrelid::regclass::text as table, k.confrelid::regclass::text as to,"
    " array(select attname::text from unnest(k.conkey) with ordinality n (num, at)"
    "  join pg_attribute on attrelid = k.conrelid and attnum = n.num order by n.at) as ours,"
    " array(select attname::text from unnest(k.confkey) with ordinality n (num, at)"
    "  join pg_attribute on attrelid = k.confrelid and attnum = n.num order by n.at) as theirs"
    " from pg_constraint k where k.contype = 'f' and k.connamespace = 'aither'::regnamespace order by 1, 2"
)
_KEYS = (
    "select i.indrelid::regclass::text as table, array(select attname::text from unnest(i.indkey::int[]) n"
    "  join pg_attribute on attrelid = i.indrelid and attnum = n) as columns"
    " from pg_index i join pg_class c on c.oid = i.indrelid where i.indisunique"
    " and c.relnamespace = 'aither'::regnamespace order by 1, i.indisprimary desc"
)


async def all_tables(connection: Connection) -> dict[str, Table]:
    """Every table of the schema, those of the house too, with what may be filled in."""
    columns: dict[str, list[Column]] = {}
    for row in await connection.fetch(_COLUMNS):
        of = columns.setdefault(row["table"], [])
        if not row["counted"]:
            of.append(Column(row["name"], row["type"], row["needed"], row["checks"]))
    references: dict[str, list[Reference]] = {}
    for row in await connection.fetch(_REFERENCES):
        table, to = (row[name].removeprefix("aither.") for name in ("table", "to"))
        pairs = tuple(zip(row["ours"], row["theirs"], strict=True))
        references.setdefault(table, []).append(Reference(table, to, pairs))
    keys: dict[str, list[tuple[str, ...]]] = {}
    for row in await connection.fetch(_KEYS):
        keys.setdefault(row["table"].removeprefix("aither."), []).append(tuple(row["columns"]))
    return {
        name: Table(name, tuple(of), tuple(references.get(name, ())), tuple(keys.get(name, ())))
        for name, of in columns.items()
    }


def in_order(tables: Mapping[str, Table]) -> list[Table]:
    """Tenants' tables, each after those that it points to."""
    left = {name: table for name, table in tables.items() if name not in HOUSE}
    ordered: list[Table] = []
    while left:
        free = [t for t in left.values() if not any(r.to in left and r.to != t.name for r in t.references)]
        assert free, f"these point at each other: {sorted(left)}"
        ordered += free
        for table in free:
            del left[table.name]
    return ordered


async def insert(connection: Connection, table: str, row: Mapping[str, Any], more: str = "") -> str:
    """Inserts the row, as whoever the connection is."""
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return await connection.execute(
        f"insert into aither.{table} ({names}) values ({places}) {more}", *row.values()
    )


async def fill(connection: Connection, tenants: tuple[str, ...]) -> Filler:
    """One row of each tenant in each table."""
    tables = await all_tables(connection)
    filler = Filler(tables)
    for table in in_order(tables):
        for tenant in tenants:
            row = filler.row(table, tenant)
            await insert(connection, table.name, row)
            filler.made[table.name, tenant] = row
    return filler
