"""The migrations as Supabase's command line wants them: `supabase/migrations/<timestamp>_<name>.sql`.

`python -m infra.postgres.supabase_layout` writes them from `infra/sql`, which stays the one place where they are
changed; a file that is there keeps its timestamp. Each wraps a migration in one statement, for two reasons: that
command line splits files at semicolons, and takes the `end` of `from aither.spend` for that of a function's body; and
what was applied that way is written into our own ledger too, all of it or nothing.
"""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from infra.postgres.migrate import FOLDER, LEDGER, Connection, Migration, MigrationError, read

ROOT = Path(__file__).parents[2]
SUPABASE = ROOT / "supabase" / "migrations"
HISTORY = "supabase_migrations.schema_migrations"
FILE_NAME = re.compile(r"(\d{14})_(\d{3}_[a-z0-9_]+)\.sql")
MIGRATION_TAG = "$aither_migration$"
_FILE = """\
-- Written by `python -m infra.postgres.supabase_layout` from infra/sql/{name}: change that one.
do $aither$
begin
    {ledger};
    execute $aither_migration$
{sql}
$aither_migration$;
    insert into aither_ops.migrations (number, name, sha256) values ({number}, '{name}', '{checksum}');
end $aither$;
"""
_TELL = (
    "insert into supabase_migrations.schema_migrations (version, name) values ($1, $2) on conflict do nothing"
)


def wrapped(migration: Migration) -> str:
    """The file's text. Raises `MigrationError` for a migration that has one of our quotes in it."""
    if "$aither" in migration.sql:
        raise MigrationError(f"{migration.name}: {MIGRATION_TAG} would end in the middle of it")
    return _FILE.format(
        name=migration.name,
        ledger=LEDGER.replace(";", ";\n    "),
        sql=migration.sql.rstrip(),
        number=migration.number,
        checksum=migration.checksum,
    )


def versions(folder: Path = SUPABASE) -> dict[str, str]:
    """The version by which Supabase's command line knows each migration, by the migration's file name."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        if match := FILE_NAME.fullmatch(path.name):
            found[f"{match[2]}.sql"] = match[1]
    return found


def write(folder: Path = SUPABASE, source: Path = FOLDER) -> list[str]:
    """Writes every file anew; the names of those that are new or were different."""
    folder.mkdir(parents=True, exist_ok=True)
    known = versions(folder)
    newest = max(known.values(), default="0")
    changed: list[str] = []
    for migration in read(source):
        version = known.get(migration.name)
        if version is None:
            now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
            version = newest = max(now, str(int(newest) + 1))
        path = folder / f"{version}_{migration.name}"
        text = wrapped(migration)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path.name)
    return changed


async def tell_supabase(connection: Connection, applied: list[str], folder: Path = SUPABASE) -> int:
    """Writes into the history of Supabase's command line, where there is one, what we have applied; how many.

    After that its `db push` finds nothing to do either.
    """
    known = versions(folder)
    told = [(known[name], name.removesuffix(".sql")) for name in applied if name in known]
    if not told or not await connection.fetchval(f"select to_regclass('{HISTORY}') is not null"):
        return 0
    await connection.executemany(_TELL, told)
    return len(told)


if __name__ == "__main__":
    sys.stdout.write("\n".join(write() or ["nothing has changed"]) + "\n")
