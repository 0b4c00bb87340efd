"""`aither tenant`: what all the turns of a tenant may do and cost, and its share, straight in the database."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

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
from api.cli.client import AsJson, DataDir, ExitCode, fail
from api.cli.database import with_database

if TYPE_CHECKING:
    from infra.postgres.database import Database
    from infra.postgres.tenants import Tenant

app = typer.Typer(help="Make and list tenants; bound what a tenant's turns may do.", no_args_is_help=True)

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
Weight = Annotated[
    float | None,
    typer.Option(
        metavar="WEIGHT",
        help="Its share of a model that several tenants wait for, 0.001 to 1000; a weight of 3 gets three"
        " calls for one of weight 1.",
    ),
]

Name = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant, such as `default`.")]


@app.command(epilog="Example: aither tenant create acme --weight 3")
def create(
    tenant: Annotated[
        str, typer.Argument(metavar="TENANT", help="Its name: lower-case letters, digits and dashes.")
    ],
    weight: Weight = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a tenant. A tenant's first key makes it too, with a weight of 1."""
    from infra.postgres.tenants import PostgresTenants

    share = 1.0 if weight is None else _checked(weight)
    made = with_database(
        data_dir, tenant, lambda database: PostgresTenants(database).create(tenant, fairness_weight=share)
    )
    _tell(made, as_json)


@app.command(name="list", epilog="Example: aither tenant list")
def list_tenants(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List all tenants, by name."""
    from infra.postgres.tenants import PostgresTenants

    tenants = with_database(data_dir, "default", lambda database: PostgresTenants(database).list())
    if as_json:
        _print_json([_shown(tenant) for tenant in tenants])
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("tenant", "weight", "made", "bounds"):
        table.add_column(title, no_wrap=title != "bounds")
    for tenant in tenants:
        bounds = escape(in_words(asdict(tenant.bounds)))
        table.add_row(tenant.id, f"{tenant.fairness_weight:g}", f"{tenant.created_at:%Y-%m-%d}", bounds)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table if tenants else "there are no tenants; `aither tenant create NAME` makes one")


@app.command(epilog="Example: aither tenant show acme")
def show(tenant: Name = "default", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a tenant, its weight, and its bounds, which hold for every turn of all its keys."""
    from infra.postgres.tenants import PostgresTenants

    _tell(with_database(data_dir, tenant, lambda database: PostgresTenants(database).get(tenant)), as_json)


@app.command(name="set", epilog="Example: aither tenant set acme --max-usd-day 20 --lift local_only")
def set_bounds(
    tenant: Name,
    *,
    weight: Weight = None,
    local_only: LocalOnly = None,
    max_usd: MaxUsd = None,
    max_usd_day: MaxUsdDay = None,
    max_usd_month: MaxUsdMonth = None,
    model_allow: ModelAllow = None,
    backend_allow: BackendAllow = None,
    approve_cloud: ApproveCloud = None,
    approve_above_usd: ApproveAboveUsd = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="Take a bound away, such as max_usd_day; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Bound and weigh a tenant's turns; what is not named stays as it is. In force within five seconds."""
    from infra.postgres.tenants import PostgresTenants

    given = bounds_from(
        local_only=local_only,
        max_usd=max_usd,
        max_usd_day=max_usd_day,
        max_usd_month=max_usd_month,
        model_allow=model_allow,
        backend_allow=backend_allow,
        approve_cloud=approve_cloud,
        approve_above_usd=approve_above_usd,
    )
    for name in lift or ():
        if name not in asdict(given):
            fail(ExitCode.USAGE, f"--lift: there is no bound {name!r}; there are: {', '.join(asdict(given))}")
    changes = dict.fromkeys(lift or ()) | {k: v for k, v in asdict(given).items() if v is not None}
    if not changes and weight is None:
        fail(ExitCode.USAGE, "there is nothing to set", "aither tenant set --help lists the bounds")
    share = None if weight is None else _checked(weight)

    async def work(database: Database) -> Tenant:
        tenants = PostgresTenants(database)
        had = await tenants.get(tenant)
        if share is not None:
            had = await tenants.weigh(tenant, share)
        return await tenants.bound(tenant, replace(had.bounds, **changes)) if changes else had

    _tell(with_database(data_dir, tenant, work), as_json)


def _checked(weight: float) -> float:
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        fail(ExitCode.USAGE, f"--weight: {LEAST_WEIGHT:g} to {MOST_WEIGHT:g} is wanted, not {weight:g}")
    return weight


def _tell(tenant: Tenant, as_json: bool) -> None:
    if as_json:
        _print_json(_shown(tenant))
    else:
        weight = "" if tenant.fairness_weight == 1.0 else f"; weight {tenant.fairness_weight:g}"
        sys.stdout.write(f"{tenant.id}: {in_words(asdict(tenant.bounds))}{weight}\n")


def _shown(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "fairness_weight": tenant.fairness_weight,
        "policy": asdict(tenant.bounds),
        "created_at": tenant.created_at.isoformat(),
    }


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
