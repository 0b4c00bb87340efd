"""`aither burst`: rent a box, see what boxes cost, give them back, look for strays."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.burst_demo import demo
from api.cli.burst_offers import EPILOG as OFFERS_EPILOG
from api.cli.burst_offers import For, offers
from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find

app = typer.Typer(help="Rent boxes, show what they cost, give them back.", no_args_is_help=True)
app.command(epilog=OFFERS_EPILOG)(offers)
app.command(epilog="Example: aither burst demo")(demo)

ENDED = {"gone", "failed", "denied"}
SERVES_OR_ENDED = {"serving", *ENDED}
EVERY_S = 1.0

NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the wish is recorded.")]
Patience = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for it.")
]


@app.command(epilog="Example: aither burst up --for reasoning")
def up(
    *,
    purpose: Annotated[For, typer.Option("--for", help="What the box is for.")] = For.REASONING,
    why: Annotated[str, typer.Option(help="Kept with the lease.")] = "",
    no_wait: NoWait = False,
    timeout: Patience = 3600.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Rent a box now, whatever the load. It goes by itself when it has been idle for long enough."""
    with Client(find(api_url, data_dir)) as client:
        lease = client.post("/v1/leases", {"purpose": purpose.value, "why": why})
        if not no_wait:
            lease = _followed(client, lease, SERVES_OR_ENDED, timeout, quiet=as_json)
    _end(lease, as_json, failed=lease["state"] in ENDED)


@app.command(epilog="Example: aither burst down lease_01k5h6v9c2m8r4t0x3z7q5w1ne")
def down(
    lease: Annotated[
        str | None, typer.Argument(metavar="LEASE", help="One lease.", show_default="all")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="Kept with the lease.")] = "",
    no_wait: NoWait = False,
    timeout: Patience = 1800.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """End a lease, or all of them. Each box drains, is destroyed, and is verified gone."""
    with Client(find(api_url, data_dir)) as client:
        ids = [lease] if lease else [each["id"] for each in client.get("/v1/leases", open=True)["data"]]
        ended = [client.delete(f"/v1/leases/{quote(each, safe='')}", why=why or None) for each in ids]
        if not no_wait:
            ended = [_followed(client, each, ENDED, timeout, quiet=as_json) for each in ended]
    if as_json:
        _print_json(ended)
        return
    for each in ended:
        sys.stdout.write(f"{each['id']}  {each['state']}  {each['usd']:.4f} $\n")
    if not ended:
        sys.stdout.write("no box is rented\n")


@app.command(epilog="Example: aither burst status --all")
def status(
    lease: Annotated[
        str | None, typer.Argument(metavar="LEASE", help="One lease, with all that happened.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", "-a", help="Those that have ended, too.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show leases. For how long each has been up, what it has cost, costs an hour, and has served."""
    with Client(find(api_url, data_dir)) as client:
        if lease is not None:
            seen = client.get(f"/v1/leases/{quote(lease, safe='')}")
        else:
            seen = client.get("/v1/leases", open=None if every else True)
    if as_json:
        _print_json(seen)
        return
    from api.cli.burst_view import print_lease, print_leases

    if lease is not None:
        print_lease(seen)
    else:
        print_leases(seen)


@app.command(epilog="Example: aither burst sweep --dry-run")
def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell of strays, and touch none.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Look for boxes that no lease knows, and destroy them. The workers do so by themselves every minute."""
    with Client(find(api_url, data_dir)) as client:
        swept = client.post("/v1/leases/sweep", {"dry_run": dry_run})
    if as_json:
        _print_json(swept)
    elif swept["unknown"]:
        fail(
            ExitCode.FAILED, f"what is at the market is not known: {swept['unknown']}", "nothing was touched"
        )
    else:
        for each in swept["destroyed"]:
            sys.stdout.write(f"destroyed  {each['instance']}  {each['label']}: {each['why']}\n")
        for each in swept["left"]:
            sys.stdout.write(f"left       {each['instance']}  {each['label']}: {each['why']}\n")
        strays = len(swept["destroyed"]) + len(swept["left"])
        sys.stdout.write(f"{swept['seen']} of our instances are at the market, {strays} were nobody's\n")
    if swept["left"] and not dry_run:
        raise typer.Exit(int(ExitCode.FAILED))


def _followed(client: Client, lease: dict[str, Any], until: set[str], timeout: float, *, quiet: bool) -> Any:
    """Shows how the lease goes on, until it is in one of those states."""
    place, deadline, shown = f"/v1/leases/{quote(lease['id'], safe='')}", time.monotonic() + timeout, 0
    try:
        while True:
            seen = client.get(place)
            for event in seen["events"][shown:]:
                if not quiet:
                    sys.stderr.write(f"{event['at'][11:19]}  {event['event']:<12} {event['told']}\n")
            shown = len(seen["events"])
            if seen["state"] in until:
                return seen
            if time.monotonic() > deadline:
                fail(ExitCode.TIMED_OUT, f"{lease['id']} is {seen['state']} still", "it goes on by itself")
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        fail(
            ExitCode.INTERRUPTED,
            f"{lease['id']} goes on by itself",
            f"`aither burst down {lease['id']}` ends it",
        )


def _end(lease: dict[str, Any], as_json: bool, *, failed: bool) -> None:
    if as_json:
        _print_json(lease)
    else:
        sys.stdout.write(f"{lease['id']}  {lease['state']}  {lease['usd_per_hour']:.3f} $/h\n")
    if failed:
        fail(ExitCode.FAILED, f"{lease['id']} is {lease['state']}: {lease['ending'] or lease['why']}")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
