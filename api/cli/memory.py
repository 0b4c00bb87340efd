"""`aither memory search`: what swarms have found before."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find

app = typer.Typer(no_args_is_help=True, help="Search what swarms have found.")

EPILOG = 'Example: aither memory search "where do the logs go" --limit 5 --min-score 0.3'


@app.callback()
def memory() -> None:
    """Search what swarms have found."""


@app.command(epilog=EPILOG)
def search(
    *,
    query: Annotated[str, typer.Argument(help="What to look for, in words of your own.")],
    goal: Annotated[str | None, typer.Option(help="Only what was found for this goal, by its id.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=50, help="Findings at most.")] = 10,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Leave out what is further away; 1 is the same.")
    ] = 0.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List the findings that are nearest in meaning, the nearest first."""
    with Client(find(api_url, data_dir)) as client:
        found: list[dict[str, Any]] = client.get(
            "/v1/memory/search", q=query, goal=goal, limit=limit, min_score=min_score
        )["data"]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    if not found:
        console.print("nothing was found that is near to this")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("score", "sure", "finding", "sources", "goal"):
        table.add_column(title, justify="right" if title in {"score", "sure"} else "left", overflow="fold")
    for each in found:
        table.add_row(
            f"{each['score']:.2f}",
            f"{each['confidence']:.0%}",
            escape(" ".join(each["text"].split())),
            escape(", ".join(each["sources"])) or "—",
            escape(each["goal"]),
        )
    console.print(table)
