"""`aither turn`: look at turns, list them, cancel one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find
from api.cli.story import left_the_building

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Look at turns, list them, cancel one.", no_args_is_help=True)

COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "queued": "blue"}
OUTCOMES = {
    "answered": "green",
    "escalated": "cyan",
    "failed": "red",
    "skipped": "yellow",
    "cancelled": "yellow",
}
TurnId = Annotated[str, typer.Argument(metavar="ID", help="The turn's id, such as turn_01k…")]


@app.command(epilog="Example: aither turn show turn_01k5h6v9c2m8r4t0x3z7q5w1ne")
def show(turn_id: TurnId, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """Tell a turn's story: the question, who was asked, the answer, tokens, times, the trace."""
    with Client(find(api_url, data_dir)) as client:
        turn = client.turn(turn_id)
    if as_json:
        _print_json(turn)
    else:
        _story(turn)


@app.command(name="list", epilog="Example: aither turn list --status failed --limit 5")
def list_turns(
    *,
    status: Annotated[
        str | None, typer.Option("--status", "-s", help="queued, running, completed, failed or cancelled.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", "-c", metavar="ID", help="Only of this conversation.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where an earlier list ended.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List turns, newest first."""
    wanted = {"status": status, "conversation_id": conversation, "limit": limit, "cursor": cursor}
    with Client(find(api_url, data_dir)) as client:
        page = client.get("/v1/turns", **wanted)
    if as_json:
        _print_json(page)
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, wide in (("turn", 31), ("when", 8), ("status", 9), ("model", 0), ("tokens", 6), ("took", 6)):
        right = "right" if name in {"tokens", "took"} else "left"
        table.add_column(name, justify=right, no_wrap=name != "model", min_width=wide, overflow="fold")
    for turn in page["data"]:
        table.add_row(
            turn["id"],
            _when(turn["accepted_at"]),
            _coloured(turn["status"], COLOURS),
            turn["answer"]["model"] if turn["answer"] else turn["model"],
            str(turn["usage"]["completion_tokens"] or ""),
            _took(turn),
        )
    console = _console()
    console.print(table if page["data"] else "no turns yet; ask something with `aither ask`")
    if page["next_cursor"]:
        console.print(f"[dim]more: aither turn list --cursor {page['next_cursor']}[/dim]")


@app.command(epilog="Example: aither turn cancel turn_01k5h6v9c2m8r4t0x3z7q5w1ne")
def cancel(
    turn_id: TurnId, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None
) -> None:
    """Cancel a turn and stop its model call. One that has ended already is left as it is."""
    with Client(find(api_url, data_dir)) as client:
        turn = client.cancel(turn_id)
    if as_json:
        _print_json(turn)
    elif turn["status"] == "cancelled":
        _console().print(f"[yellow]cancelled[/yellow] {turn_id}")
    elif turn["status"] == "running":
        _console().print(f"{turn_id} is stopping; `aither turn show {turn_id}` tells when it has")
    else:
        fail(ExitCode.FAILED, f"{turn_id} had {turn['status']} already")


def _story(turn: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.padding import Padding
    from rich.rule import Rule

    console = _console()
    model = f"model {turn['model']} · " if turn["model"] != "auto" else ""
    console.print(
        f"[bold]{turn['id']}[/bold]  {_coloured(turn['status'], COLOURS)}  "
        f"[dim]{_when(turn['accepted_at'])} · {_took(turn) or 'not ended'}[/dim]"
    )
    console.print(
        f"[dim]{model}effort {turn['effort']} ({escape(turn['effort_why'])}) · priority {turn['priority']}"
        f"{' · ' + turn['conversation_id'] if turn['conversation_id'] else ''}[/dim]\n"
    )
    for message in turn["input"]:
        said = message["content"] or ", ".join(
            f"{c['name']}({c['arguments']})" for c in message["tool_calls"]
        )
        console.print(f"[bold cyan]{message['role']}[/bold cyan]")
        console.print(Padding(escape(said.rstrip()), (0, 0, 1, 2)))
    if turn["route"]:
        console.print("[bold]route[/bold]")
        for hop in turn["route"]:
            _tell_hop(console, hop)
        console.print()
    if turn["answer"]:
        console.print("[bold green]answer[/bold green]")
        console.print(Padding(escape(turn["answer"]["text"]), (0, 0, 1, 2)))
        for call in turn["answer"]["tool_calls"]:
            console.print(f"  [magenta]{escape(call['name'])}[/magenta]({escape(call['arguments'])})")
    if turn["error"]:
        error = f"{turn['error']['message']} [{turn['error']['code']}]"
        console.print(f"[red]{escape(error)}[/red]\n")
    usage = turn["usage"]
    console.print(Rule(style="dim"))
    console.print(f"[dim]{usage['prompt_tokens']} prompt → {usage['completion_tokens']} tokens[/dim]")
    console.print(f"[dim]trace {turn['links']['trace']}[/dim]", soft_wrap=True)


def _tell_hop(console: Console, hop: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    times = [f"waited {_ms(hop['waited_ms'])}", f"ran {_ms(hop['ran_ms'])}"]
    if hop["first_token_ms"] is not None:
        times.insert(1, f"first token {_ms(hop['first_token_ms'])}")
    if hop["completion_tokens"]:
        times.append(f"{hop['prompt_tokens']} → {hop['completion_tokens']} tokens")
    if hop["cost_usd"]:
        times.append(f"${hop['cost_usd']:.6f}")
    place = " [yellow]left the building[/yellow]" if left_the_building(hop) else ""
    console.print(
        f"  {hop['step']}  [bold]{escape(hop['rung'])}[/bold] {escape(hop['model_served'] or hop['model'])}  "
        f"{_coloured(hop['outcome'], OUTCOMES)}{place}"
    )
    console.print(Padding(f"[dim]{escape(hop['why'])}\n{' · '.join(times)}[/dim]", (0, 0, 0, 5)))


def _console() -> Console:
    from rich.console import Console

    # Who pipes the output wants all of it, however narrow the terminal that it came from.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _ms(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"


def _coloured(word: str, colours: dict[str, str]) -> str:
    colour = colours.get(word, "white")
    return f"[{colour}]{word}[/{colour}]"


def _when(moment: str) -> str:
    from datetime import datetime

    then, now = datetime.fromisoformat(moment).astimezone(), datetime.now().astimezone()
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d")


def _took(turn: dict[str, Any]) -> str:
    from datetime import datetime

    if not turn["ended_at"]:
        return ""
    took = datetime.fromisoformat(turn["ended_at"]) - datetime.fromisoformat(turn["accepted_at"])
    return f"{took.total_seconds():.1f} s"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
