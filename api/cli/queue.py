"""`aither queue`: what waits for a slot or for a card, and cancelling it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find
from api.cli.pools import lasting

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Show what waits, the most urgent first; cancel it.", invoke_without_command=True)


@app.callback(epilog="Example: aither queue --pool llm-orchestrator --limit 20")
def queue(
    context: typer.Context,
    *,
    pool: Annotated[
        str | None, typer.Option("--pool", "-p", metavar="POOL", help="Only what waits for this pool.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", help="Only `turn`, `card`, or this type of workflow.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many.")] = 100,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show what waits for a slot or for a GPU card, the most urgent first, then the longest.

    It is the key's tenant's; an operator's key shows all tenants'.
    """
    if context.invoked_subcommand is not None:
        return
    with Client(find(api_url, data_dir)) as client:
        seen = client.get("/v1/scheduler/queue", pool=pool, kind=kind, limit=limit)
    if as_json:
        _print_json(seen)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("id", "kind", "for", "priority", "tenant", "waiting", "more urgent"):
        right = title in {"priority", "waiting", "more urgent"}
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for call in seen["data"]:
        table.add_row(
            escape(call["id"]),
            escape(call["kind"]),
            escape(call["pool"] or f"card {call['card']}"),
            str(call["priority"]),
            escape(call["tenant"] or ""),
            lasting(call["waiting_s"]),
            "" if call["more_urgent"] is None else str(call["more_urgent"]),
        )
    console = _console()
    console.print(table if seen["data"] else "nothing waits")
    for part in seen["degraded"]:
        console.print(f"[yellow]{part['part']} is away: not known: {part['missing']}[/yellow]")
    if seen["more"]:
        console.print("[dim]there may be more; --limit shows up to 500[/dim]")


@app.command(epilog="Example: aither queue cancel turn_01k5h6v9c2m8r4t0x3z7q5w1ne")
def cancel(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="An id that `aither queue` shows.")],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Cancel what waits. What does not wait any more is left alone: `aither turn cancel` stops a turn anywhere."""
    with Client(find(api_url, data_dir)) as client:
        ended = client.post(f"/v1/scheduler/queue/{quote(call_id, safe='/')}/cancel", None)
    if as_json:
        _print_json(ended)
    elif ended["status"] == "cancelled":
        _console().print(f"[yellow]cancelled[/yellow] {call_id}")
    else:
        _console().print(f"{call_id} is stopping")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
