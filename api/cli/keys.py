"""`aither key`: API keys, straight in the database, so that the first one needs no other."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from api.cli.bounds import (
    ApproveAboveUsd,
    ApproveCloud,
    BackendAllow,
    LocalOnly,
    MaxUsd,
    MaxUsdDay,
    MaxUsdMonth,
    ModelAllow,
    bounds_from,
    in_words,
)
from api.cli.client import AsJson, DataDir, ExitCode, coloured, fail
from api.cli.database import with_database

if TYPE_CHECKING:
    from infra.postgres.keys import ApiKey, PostgresKeys

T = TypeVar("T")

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

DEFAULT_TENANT = "default"
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
    *,
    ladder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The ladder that its `auto` climbs.", show_default="the configured"
        ),
    ] = None,
    role: Annotated[
        Literal["user", "service", "operator"],
        typer.Option(help="What it may do beside asking: join as a model server, or run the house."),
    ] = "user",
    person: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="As whom it decides approvals; `aither people` knows them.",
            show_default=False,
        ),
    ] = None,
    local_only: LocalOnly = None,
    max_usd: MaxUsd = None,
    max_usd_day: MaxUsdDay = None,
    max_usd_month: MaxUsdMonth = None,
    model_allow: ModelAllow = None,
    backend_allow: BackendAllow = None,
    approve_cloud: ApproveCloud = None,
    approve_above_usd: ApproveAboveUsd = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key, with bounds on its turns. It is shown this once: only its hash is kept."""
    from infra.postgres.keys import Role

    if not name.strip() or "\x00" in name:
        fail(ExitCode.USAGE, "a key needs a name")
    bounds = bounds_from(
        ladder=ladder,
        local_only=local_only,
        max_usd=max_usd,
        max_usd_day=max_usd_day,
        max_usd_month=max_usd_month,
        model_allow=model_allow,
        backend_allow=backend_allow,
        approve_cloud=approve_cloud,
        approve_above_usd=approve_above_usd,
    )
    key, secret = _with_keys(
        data_dir,
        tenant,
        lambda keys: keys.create(
            tenant,
            name,
            priority_ceiling=priority_ceiling,
            bounds=bounds,
            ladder=ladder,
            role=Role(role),
            person=person,
        ),
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
    for title, wide in (
        ("id", 30),
        ("key", 9),
        ("role", 4),
        ("priority", 1),
        ("made", 10),
        ("state", 5),
        ("name", 10),
        ("bounds", 6),
    ):
        table.add_column(title, min_width=wide, no_wrap=title not in {"name", "bounds"})
    for key in keys:
        state = f"[red]revoked {key.revoked_at:%Y-%m-%d}[/red]" if key.revoked_at else "[green]valid[/green]"
        shown = (key.id, f"{key.shown}…", key.role.value, str(key.priority_ceiling))
        bounds = in_words(asdict(key.bounds)) + (f"; ladder {key.ladder}" if key.ladder else "")
        table.add_row(*shown, f"{key.created_at:%Y-%m-%d}", state, escape(key.name), escape(bounds))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table if keys else f"{tenant} has no keys; `aither key create NAME` makes one")


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
    from infra.postgres.keys import PostgresKeys

    return with_database(folder, tenant, lambda database: work(PostgresKeys(database)))


def _shown(key: ApiKey, tenant: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": tenant,
        "shown": key.shown,
        "role": key.role.value,
        "person": key.person,
        "priority_ceiling": key.priority_ceiling,
        "ladder": key.ladder,
        "policy": asdict(key.bounds),
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
