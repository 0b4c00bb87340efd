"""`aither spend`: what was spent, on what, and what it would have cost elsewhere."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find
from api.cli.story import money

EPILOG = "Example: aither spend --by model --since 2026-11-01"


def spend(
    *,
    by: Annotated[str, typer.Option(help="day, model, tenant or key.")] = "day",
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="The first day (UTC).", show_default="the month's first")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="The last day (UTC).", show_default="today")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show what was spent, what the reference model would have cost, and what stayed in the building."""
    with Client(find(api_url, data_dir)) as client:
        report = client.get("/v1/spend", by=by, since=since, until=until)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    reference = report["reference_model"]
    titles = [report["by"], "spent", "turns", "stayed local", "calls", "stayed local", "tokens"]
    table = Table(box=None, header_style="dim", pad_edge=False, show_footer=bool(report["data"]))
    rows = [_cells(line) for line in report["data"]]
    total = _cells(report["total"])
    if reference:
        titles.insert(2, f"on {reference}")
    else:
        rows, total = [row[:2] + row[3:] for row in rows], total[:2] + total[3:]
    for title, footer in zip(titles, total, strict=True):
        table.add_column(title, footer=footer, justify="left" if title == report["by"] else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    nothing = f"nothing was answered from {report['since']} to {report['until']}"
    console.print(table if rows else nothing)


def _cells(line: dict[str, Any]) -> list[str]:
    return [
        line["group"],
        money(line["usd"]),
        money(line["reference_usd"]),
        str(line["turns"]),
        _share(line["local_turns_share"]),
        str(line["calls"]),
        _share(line["local_calls_share"]),
        f"{line['prompt_tokens']} → {line['completion_tokens']}",
    ]


def _share(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"
