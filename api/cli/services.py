"""`aither services`: which services there are, told by their heartbeats."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find

EPILOG = (
    "A service is online until it has missed three heartbeats, one of which is due every 30 seconds, and is forgotten"
    " after a day. Where a backend is, an operator's key shows. Example: aither services --kind backend"
)
KINDS = "api, worker, pool, card, backend or other"
STATUSES = "online, draining, offline or left"
COLOURS = {"online": "green", "draining": "yellow", "offline": "red", "left": "dim"}


def services(
    *,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help=f"Only {KINDS}.")] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", "-s", help=f"Only {STATUSES}.", show_default="all that have not left"),
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List the services: APIs, workers, pools, cards, backends that joined, and whatever else sends heartbeats."""
    with Client(find(api_url, data_dir)) as client:
        found: list[dict[str, Any]] = client.get("/v1/registry", kind=kind, status=status)["data"]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = [each for each in found if status is not None or each["status"] != "left"]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("service", "kind", "status", "load", "version", "last seen", "where"):
        table.add_column(title, justify="right" if title == "load" else "left", overflow="fold")
    for each in shown:
        colour = COLOURS[each["status"]]
        table.add_row(
            escape(each["name"]),
            each["kind"],
            f"[{colour}]{each['status']}[/{colour}]",
            "—" if each["load"] is None else f"{each['load']:.0%}",
            escape(each["version"]) or "—",
            _ago(each["age_s"]),
            escape(_where(each)),
        )
    console.print(table if shown else _nothing(kind, status))
    if gone := len(found) - len(shown):
        console.print(f"[dim]{gone} more {'has' if gone == 1 else 'have'} left: --status left[/dim]")


def _nothing(kind: str | None, status: str | None) -> str:
    if kind or status:
        wanted = " ".join(filter(None, (status, kind)))
        return f"no {wanted} services; `aither services` lists all"
    return "no services; what sends heartbeats to POST /v1/registry/heartbeat is listed here"


def _where(service: dict[str, Any]) -> str:
    """Where a backend is and what it serves; for others, what they are able to do."""
    backend = service["backend"]
    if backend:
        return f"{backend['base_url']} in {backend['pool']}"
    return ", ".join(service["capabilities"])


def _ago(seconds: float) -> str:
    for most, size, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < most:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 3600:.0f} h ago"
