"""`aither explain`: why a turn went the way it went, hop by hop."""

from __future__ import annotations

import json
import sys
from typing import Any

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find
from api.cli.story import duration, left_the_building, money, story
from api.cli.turns import OUTCOMES, TurnId
from infra.telemetry.trace_ids import trace_id_of

EPILOG = "Example: aither explain turn_01k5h6v9c2m8r4t0x3z7q5w1ne"

NUMBERS = ("waited", "first token", "ran", "tokens", "cost")
COLUMNS = ("step", "rung", "backend", "asked", "served", "outcome", *NUMBERS, "where", "why")
SHOWN = (
    *("id", "status", "model", "effort", "effort_why", "intent", "intent_why", "agent", "agent_version"),
    *("policy", "route", "error", "cost_usd", "reference_cost_usd"),
)


def explain(
    turn_id: TurnId, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None
) -> None:
    """Explain a turn's route: effort and intent and why, every hop, what it cost, what left the building."""
    with Client(find(api_url, data_dir)) as client:
        turn = client.turn(turn_id)
    told = story(turn)
    if as_json:
        shown = {name: turn[name] for name in SHOWN} | {"story": [line for line in told if line]}
        shown["trace_id"] = trace_id_of(turn["id"])
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(f"[bold]{turn['id']}[/bold]  {turn['status']}\n")
    console.print(escape("\n".join(told)))
    if turn["route"]:
        console.print()
        console.print(_table(turn["route"]))
    console.print(f"[dim]trace {turn['links']['trace']}[/dim]", soft_wrap=True)


def _table(route: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for hop in route:
        first = hop["first_token_ms"]
        table.add_row(
            str(hop["step"]),
            escape(hop["rung"]),
            escape(hop["backend"]),
            escape(hop["model"]),
            escape(hop["model_served"] or "—"),
            f"[{OUTCOMES.get(hop['outcome'], 'white')}]{hop['outcome']}[/]",
            duration(hop["waited_ms"]),
            duration(first) if first is not None else "—",
            duration(hop["ran_ms"]),
            f"{hop['prompt_tokens']} → {hop['completion_tokens']}",
            money(hop["cost_usd"]),
            "[yellow]outside[/yellow]" if left_the_building(hop) else "inside",
            escape(hop["why"]),
        )
    return table
