"""`aither db`: the schema of the database: its migrations, and whether it holds what the product relies on."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from api.cli.client import AsJson, DataDir, ExitCode, coloured, data_dir, fail

if TYPE_CHECKING:
    from infra.postgres.migrate import Connection, Entry
    from infra.postgres.schema_check import Finding

T = TypeVar("T")

app = typer.Typer(help="Apply migrations, show them, check what the product relies on.", no_args_is_help=True)

ADMIN_NEEDED = "AITHER_ADMIN_DATABASE_URL is not set: the role that owns the schema"
ADMIN_HINT = (
    "set it for this command alone, as postgresql://OWNER:PASSWORD@HOST:5432/DATABASE;"
    " on Supabase it is the project's `postgres`, by the direct connection or the session pooler"
)
CONNECT_S = 10.0
PAUSE_S = 0.5

Wait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, max=3600, help="Wait so long for a server that does not answer yet."
    ),
]


@app.command(epilog="Example: AITHER_ADMIN_DATABASE_URL=postgresql://… aither db migrate")
def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be applied, and change nothing.")
    ] = False,
    wait: Wait = 0.0,
    folder: DataDir = None,
) -> None:
    """Apply the migrations that are missing, and let the application's role log in.

    Each is applied in a transaction of its own, and whoever else migrates waits. The role gets the password of
    AITHER_DATABASE_URL, unless it can log in already.
    """
    from infra.postgres.app_role import admit
    from infra.postgres.migrate import Standing, entries
    from infra.postgres.migrate import migrate as apply
    from infra.postgres.supabase_layout import tell_supabase
    from infra.settings import settings

    url = settings().database_url

    async def work(connection: Connection) -> list[str]:
        if dry_run:
            missing = [each for each in await entries(connection) if each.standing is not Standing.APPLIED]
            return [f"{each.name} would be applied" if _can(each) else _wrong(each) for each in missing]
        applied = await apply(connection)
        told = await admit(connection, url.get_secret_value() if url else None)
        count = await tell_supabase(connection, applied)
        supabase = f"told Supabase's command line of {count}" if count else ""
        return [*(f"{name} applied" for name in applied), *filter(None, (told, supabase))]

    lines = _as_admin(folder, work, wait)
    sys.stdout.write("".join(f"{line}\n" for line in lines or ["nothing to apply"]))


@app.command(epilog="Exit codes: 0 all have been applied; 1 some have not, or have changed since.")
def status(as_json: AsJson = False, wait: Wait = 0.0, folder: DataDir = None) -> None:
    """Show each migration: applied when, missing, or changed since it was applied."""
    from infra.postgres.migrate import Standing, entries

    found = _as_admin(folder, entries, wait)
    if as_json:
        rows = [
            {**asdict(each), "applied_at": each.applied_at and each.applied_at.isoformat()} for each in found
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        wide = max((len(each.name) for each in found), default=0)
        for each in found:
            at = f"  {each.applied_at:%Y-%m-%d %H:%M:%S} UTC" if each.applied_at else ""
            sys.stdout.write(f"{each.name:{wide}}  {_coloured(each.standing)}{at}\n")
    if any(each.standing is not Standing.APPLIED for each in found):
        raise typer.Exit(int(ExitCode.FAILED))


@app.command(epilog="Exit codes: 0 all is well, perhaps with warnings; 1 something is not as it has to be.")
def check(as_json: AsJson = False, wait: Wait = 0.0, folder: DataDir = None) -> None:
    """Check, as the application's role, what the product relies on: isolation of tenants, grants, settings.

    Migrations are looked at too where AITHER_ADMIN_DATABASE_URL is set, or the database is the embedded one.
    """
    from infra.postgres.schema_check import Finding, faults

    found = _of_app(folder, wait)
    if _admin_dsn(folder) is None:
        found.append(Finding(what="migrations were not looked at", todo=ADMIN_NEEDED, warning=True))
    else:
        found += _of_migrations(folder, wait)
    if as_json:
        sys.stdout.write(
            json.dumps({"ok": not faults(found), "findings": [asdict(f) for f in found]}, indent=2) + "\n"
        )
    else:
        for finding in found:
            sys.stdout.write(
                f"{_coloured('warning' if finding.warning else 'fault')}  {finding.what}; {finding.todo}\n"
            )
        if not faults(found):
            sys.stdout.write("the database is as it has to be\n")
    if faults(found):
        raise typer.Exit(int(ExitCode.FAILED))


def _of_app(folder: Path | None, wait: float) -> list[Finding]:
    from api.cli.database import app_dsn_of
    from infra.postgres.connections import of_address, of_session
    from infra.postgres.schema_check import findings
    from infra.settings import settings

    dsn, pooled = app_dsn_of(data_dir(folder)), settings().database_pooled

    async def work(connection: Connection) -> list[Finding]:
        # One transaction, so that a pooler leaves the session alone.
        async with connection.transaction(readonly=True):
            return [*await findings(connection), *await of_session(connection, dsn)]

    return [*of_address(dsn, pooled=pooled), *_connected(dsn, work, wait, "AITHER_DATABASE_URL")]


def _of_migrations(folder: Path | None, wait: float) -> list[Finding]:
    from infra.postgres.migrate import Standing, entries
    from infra.postgres.schema_check import Finding

    stand = _as_admin(folder, entries, wait)
    missing = [each.name for each in stand if each.standing is Standing.MISSING]
    wrong = [each for each in stand if each.standing is not Standing.APPLIED and not _can(each)]
    found = [Finding(what=_wrong(each), todo="see `aither db status`") for each in wrong]
    if missing:
        found.append(Finding(what=f"not applied: {', '.join(missing)}", todo="run `aither db migrate`"))
    return found


def _can(entry: Entry) -> bool:
    return entry.standing == "missing"


def _wrong(entry: Entry) -> str:
    why = {
        "changed": "has changed since it was applied",
        "late": "comes before one that has been applied",
        "unknown": "was applied by a version that this one does not know",
    }
    return f"{entry.name} {why[entry.standing]}"


def _as_admin(folder: Path | None, work: Callable[[Connection], Awaitable[T]], wait: float) -> T:
    from infra.postgres.connections import by_transaction

    dsn = _admin_dsn(folder)
    if dsn is None:
        fail(ExitCode.USAGE, ADMIN_NEEDED, ADMIN_HINT)
    if by_transaction(dsn):
        fail(
            ExitCode.USAGE,
            "AITHER_ADMIN_DATABASE_URL names a pooler that gives each transaction another session (port 6543)",
            "migrations hold a lock, which needs a session: use port 5432",
        )
    return _connected(dsn, work, wait, "AITHER_ADMIN_DATABASE_URL")


def _admin_dsn(folder: Path | None) -> str | None:
    """The owner's DSN: the one that is set, else the embedded database's."""
    from infra.embedded.addresses import admin_dsn, app_dsn
    from infra.embedded.layout import Layout
    from infra.settings import settings

    configured = settings()
    if configured.admin_database_url is not None:
        return configured.admin_database_url.get_secret_value()
    place = data_dir(folder)
    embedded = None if configured.database_url else app_dsn(place, configured.postgres_port)
    if embedded is None:
        return None
    from urllib.parse import urlsplit

    return admin_dsn(Layout(place), urlsplit(embedded).port or configured.postgres_port)


def _connected(dsn: str, work: Callable[[Connection], Awaitable[T]], wait: float, setting: str) -> T:
    """What `work` comes to on one connection; ends the command where it cannot be done."""
    import asyncpg

    from infra.postgres.app_role import RoleError
    from infra.postgres.migrate import MigrationError

    async def run() -> T:
        deadline = time.monotonic() + wait
        while True:
            try:
                # No statement is prepared by name: a pooler may be between.
                connection = await asyncpg.connect(dsn, timeout=CONNECT_S, statement_cache_size=0)
                break
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(PAUSE_S)
        try:
            return await work(connection)
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except (MigrationError, RoleError) as error:
        fail(ExitCode.FAILED, str(error))
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        fail(ExitCode.UNREACHABLE, f"the server of {setting} cannot be reached: {_words(error)}")
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        fail(ExitCode.UNAUTHORISED, f"the server of {setting} refuses: {_words(error)}")
    except (ValueError, asyncpg.ClientConfigurationError):
        # What the error says may hold a piece of the password.
        fail(
            ExitCode.USAGE,
            f"{setting} is no address of a database, such as postgresql://USER:PASSWORD@HOST:5432/DATABASE",
            "characters such as / and @ in a password are written as %2F and %40",
        )
    except asyncpg.PostgresError as error:
        fail(ExitCode.FAILED, f"the database refuses: {_words(error)}")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _coloured(word: Any) -> str:
    colours = {"applied": "32", "missing": "33", "warning": "33"}
    if not coloured(sys.stdout.isatty()):
        return f"{word:7}"
    return f"\033[{colours.get(str(word), '31')}m{word:7}\033[0m"
