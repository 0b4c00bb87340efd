"""`aither key`: API keys, straight in the database, so that the first one needs no other."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from api.cli.client import AsJson, DataDir, ExitCode, coloured, data_dir, fail

if TYPE_CHECKING:
    from infra.postgres.keys import ApiKey, PostgresKeys

T = TypeVar("T")

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

DEFAULT_TENANT = "default"
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
Tenant = Annotated[
    str, typer.Option("--tenant", "-t", help="Whose key it is: lower-case letters, digits and dashes.")
]


@app.command(epilog="Example: aither key create laptop --priority-ceiling 2")
def create(
    name: Annotated[str, typer.Argument(help="What to know the key by.")],
    tenant: Tenant = DEFAULT_TENANT,
    priority_ceiling: Annotated[
        int, typer.Option(min=1, max=5, help="The most urgent priority it may ask for; 1 is the most urgent.")
    ] = 1,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key. It is shown this once: only its hash is kept."""
    if not name.strip() or "\x00" in name:
        fail(ExitCode.USAGE, "a key needs a name")
    key, secret = _with_keys(
        data_dir, tenant, lambda keys: keys.create(tenant, name, priority_ceiling=priority_ceiling)
    )
    if as_json:
        _print_json({**_shown(key, tenant), "key": secret})
        return
    sys.stdout.write(secret + "\n")
    dim, off = ("\033[2m", "\033[0m") if coloured(sys.stderr.isatty()) else ("", "")
    sys.stderr.write(f"{dim}{key.id} “{key.name}” of {tenant}; keep the key, it is not shown again{off}\n")


@app.command(name="list", epilog="Example: aither key list --tenant acme")
def list_keys(tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List a tenant's keys, newest first; never the keys themselves."""
    keys = _with_keys(data_dir, tenant, lambda keys: keys.list(tenant))
    if as_json:
        _print_json([_shown(key, tenant) for key in keys])
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("id", "name", "key", "priority", "made", "state"):
        table.add_column(title)
    for key in keys:
        state = f"[red]revoked {key.revoked_at:%Y-%m-%d}[/red]" if key.revoked_at else "[green]valid[/green]"
        made = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(key.id, escape(key.name), f"{key.shown}…", str(key.priority_ceiling), made, state)
    Console(highlight=False).print(
        table if keys else f"{tenant} has no keys; `aither key create NAME` makes one"
    )


@app.command(epilog="Example: aither key revoke key_01k5h6v9c2m8r4t0x3z7q5w1ne")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `aither key list` shows it.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key for good. It stops working within five seconds."""
    key = _with_keys(data_dir, tenant, lambda keys: keys.revoke(tenant, key_id))
    if as_json:
        _print_json(_shown(key, tenant))
    else:
        sys.stdout.write(f"revoked {key.id} ({key.name})\n")


def _with_keys(folder: Path | None, tenant: str, work: Callable[[PostgresKeys], Awaitable[T]]) -> T:
    """What `work` comes to on the database of this installation; ends the command where it cannot be done."""
    if not _TENANT.fullmatch(tenant):
        fail(ExitCode.USAGE, f"{tenant!r} is no tenant: lower-case letters, digits and dashes, 63 at most")
    from activities.errors import StoreUnavailable
    from infra.postgres.database import Database
    from infra.postgres.keys import KeyNotFound, PostgresKeys

    dsn = _dsn(data_dir(folder))

    async def run() -> T:
        async with Database.connect(dsn, 1) as database:
            return await work(PostgresKeys(database))

    try:
        return asyncio.run(run())
    except KeyNotFound as error:
        fail(ExitCode.USAGE, error.message)
    except StoreUnavailable as error:
        fail(
            ExitCode.UNREACHABLE,
            error.message,
            "is it running? `aither status` tells, `aither up` starts it; or set AITHER_DATABASE_URL",
        )


def _dsn(folder: Path) -> str:
    """The configured database, else the embedded one of this data directory."""
    from infra.embedded.addresses import app_dsn
    from infra.settings import settings

    configured = settings()
    embedded = None if configured.database_url else app_dsn(folder, configured.postgres_port)
    return embedded or configured.database_dsn


def _shown(key: ApiKey, tenant: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": tenant,
        "shown": key.shown,
        "priority_ceiling": key.priority_ceiling,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
