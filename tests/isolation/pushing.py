"""What Supabase's command line does with a folder of migrations when it pushes them, as its sources have it.

A file is split into statements at semicolons by a machine that knows quotes, comments, brackets and the bodies of
functions, but not words: the first `end` after `begin atomic` ends the body, in whatever name it stands. Each
statement is sent by itself, all of a file in one transaction, and then the file's version is written down.
"""

import re
from pathlib import Path

from infra.postgres.migrate import Connection

FILE_NAME = re.compile(r"([0-9]+)_(.*)\.sql")
_TABLE = (
    "create schema if not exists supabase_migrations",
    "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
    "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
    "alter table supabase_migrations.schema_migrations add column if not exists name text",
)


def split(sql: str) -> list[str]:
    """The statements, as that command line finds them."""
    found: list[str] = []
    start = at = 0
    while at < len(sql):
        at = _after_one(sql, at)
        if sql[at - 1] == ";":
            found.append(sql[start:at])
            start = at
    found.append(sql[start:])
    return [each for each in (each.strip().rstrip(";").strip() for each in found) if each]


def _after_one(sql: str, at: int) -> int:
    """Where the next piece ends that must not be split: one character, or a quoted, bracketed or atomic stretch."""
    here = sql[at]
    if here in "'\"":
        return _past(sql, here, at + 1)
    if sql.startswith("--", at):
        return _past(sql, "\n", at + 2)
    if here == "(":
        return _bracket(sql, at + 1, ")")
    if here == "$" and (tag := re.compile(r"\$\w*\$").match(sql, at)):
        return _past(sql, tag[0], tag.end())
    if atomic := re.compile(r"begin\s+atomic", re.IGNORECASE).match(sql, at):
        return _bracket(sql, atomic.end(), "end")
    return at + 1


def _past(sql: str, end: str, at: int) -> int:
    found = sql.find(end, at)
    return len(sql) if found < 0 else found + len(end)


def _bracket(sql: str, at: int, end: str) -> int:
    while at < len(sql) and sql[at : at + len(end)].lower() != end:
        at = _after_one(sql, at)
    return min(at + len(end), len(sql))


async def push(connection: Connection, folder: Path) -> list[str]:
    """Applies the files whose versions are not in the history; their names."""
    for statement in _TABLE:
        await connection.execute(statement)
    rows = await connection.fetch("select version from supabase_migrations.schema_migrations")
    known = {row["version"] for row in rows}
    pushed: list[str] = []
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        assert match, path.name
        if match[1] in known:
            continue
        statements = split(path.read_text())
        async with connection.transaction():
            for statement in statements:
                # Prepared, hence one statement at a time, as it does it.
                await connection.fetch(statement)
            await connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)",
                match[1],
                match[2],
                statements,
            )
        pushed.append(path.name)
    return pushed
