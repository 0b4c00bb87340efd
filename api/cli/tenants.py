"""`aither tenant`: what all the turns of a tenant may do and cost, straight in the database."""

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

app = typer.Typer(help="Show and bound what a tenant's turns may do.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant, such as `default`.")]


@app.command(epilog="Example: aither tenant show acme")
def show(tenant: Name = "default", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a tenant and its bounds, which hold for every turn of all its keys."""
    from infra.postgres.tenants import PostgresTenants

    _tell(with_database(data_dir, tenant, lambda database: PostgresTenants(database).get(tenant)), as_json)


@app.command(name="set", epilog="Example: aither tenant set acme --max-usd-day 20 --lift local_only")
def set_bounds(
    tenant: Name,
    *,
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
    """Bound a tenant's turns; what is not named stays as it is. In force within five seconds."""
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
    if not changes:
        fail(ExitCode.USAGE, "there is nothing to set", "aither tenant set --help lists the bounds")

    async def work(database: Database) -> Tenant:
        tenants = PostgresTenants(database)
        had = (await tenants.get(tenant)).bounds
        return await tenants.bound(tenant, replace(had, **changes))

    _tell(with_database(data_dir, tenant, work), as_json)


def _tell(tenant: Tenant, as_json: bool) -> None:
    shown: dict[str, Any] = {
        "id": tenant.id,
        "name": tenant.name,
        "policy": asdict(tenant.bounds),
        "created_at": tenant.created_at.isoformat(),
    }
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{tenant.id}: {in_words(shown['policy'])}\n")
