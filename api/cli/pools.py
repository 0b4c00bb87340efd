"""`aither pools`: how full the pools are, and how their members do."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EPILOG = "Example: aither pools --watch --every 2"

HEALTH = {"up": "green", "draining": "yellow", "parked": "blue", "unknown": "dim"}
UNKNOWN = "—"


def pools(
    pool: Annotated[
        str | None,
        typer.Argument(
            metavar="POOL", help="Only this pool, such as `llm-orchestrator`.", show_default="all"
        ),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=3600, help="How often, with --watch.")
    ] = 1.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show each pool's slots, what waits for it and for how long, and its members below it.

    A member has `used / share of slots`: what our calls use, what they may use now, what it is configured with.
    """
    with Client(find(api_url, data_dir)) as client:
        try:
            if watch:
                _watch(client, pool, every, as_json)
            elif as_json:
                sys.stdout.write(json.dumps(_look(client, pool), indent=2, ensure_ascii=False) + "\n")
            else:
                _console().print(_table(_look(client, pool)))
        except KeyboardInterrupt:
            return


def _look(client: Client, pool: str | None) -> Any:
    seen = client.get("/v1/scheduler")
    if pool is not None:
        named = [each for each in seen["pools"] if each["name"] == pool]
        if not named:
            there = ", ".join(each["name"] for each in seen["pools"])
            fail(ExitCode.USAGE, f"there is no pool {pool!r}; there are: {there}")
        seen["pools"] = named
    return seen


def _watch(client: Client, pool: str | None, every: float, as_json: bool) -> None:
    """In place on a terminal; elsewhere one look below the other, of JSON one a line."""
    console = _console()
    if as_json or not console.is_terminal:
        while True:
            seen = _look(client, pool)
            if as_json:
                sys.stdout.write(json.dumps(seen, ensure_ascii=False) + "\n")
            else:
                console.print(_table(seen), "")
            sys.stdout.flush()
            time.sleep(every)
    from rich.live import Live

    with Live(_table(_look(client, pool)), console=console, auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(every)
            live.update(_table(_look(client, pool)), refresh=True)


def _table(seen: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    right = {"slots", "backlog", "oldest", "wait p50 / p95", "in/s", "out/s"}
    for title in ("pool", "slots", "state", "backlog", "oldest", "wait p50 / p95", "in/s", "out/s", "notes"):
        table.add_column(title, justify="right" if title in right else "left", no_wrap=title != "notes")
    for pool in seen["pools"]:
        table.add_row(*_pool_cells(pool))
        for member in pool["members"]:
            table.add_row(*_member_cells(member))
    away = [
        f"[yellow]{part['part']} is away: {part['missing']} not known[/yellow]" for part in seen["degraded"]
    ]
    nothing = "no pools; `aither config check` shows what is configured"
    return Group(table if seen["pools"] else nothing, *away)


def _pool_cells(pool: dict[str, Any]) -> list[str]:
    served = pool["served_by"]
    state = UNKNOWN if served is None else f"{served} worker{'' if served == 1 else 's'}"
    return [
        f"[bold]{_said(pool['name'])}[/bold]",
        UNKNOWN if served is None else f"[bold]{pool['used']}/{pool['slots']}[/bold]",
        f"[red]{state}[/red]" if served == 0 else state,
        _or_unknown(pool["backlog"]),
        lasting(pool["backlog_age_s"]) if pool["backlog"] else "",
        _waits(pool),
        _rate(pool["add_rate"]),
        _rate(pool["dispatch_rate"]),
        "",
    ]


def _member_cells(member: dict[str, Any]) -> list[str]:
    health = member["health"]
    style = HEALTH.get(health, "red")
    used, share = _or_unknown(member["used"]), _or_unknown(member["share"])
    return [
        f"  {_said(member['backend'])}",
        f"{used}/{share} of {member['slots']}",
        f"[{style}]{health}[/{style}]",
        *("",) * 5,
        f"[dim]{_said(' · '.join(_notes(member)))}[/dim]",
    ]


def _notes(member: dict[str, Any]) -> list[str]:
    """What else there is to say of a member, the gravest first."""
    engine, notes = member["engine"], list[str]()
    if member["why"]:
        notes.append(member["why"])
    if member["breaker"] not in {None, "closed"}:
        notes.append(f"breaker {member['breaker'].replace('_', '-')}")
    if member["foreign"]:
        notes.append(f"{member['foreign']} taken by others")
    if engine["asleep"]:
        notes.append("engine asleep")
    if engine["running"] is not None:
        waiting = f" +{engine['waiting']} waiting" if engine["waiting"] else ""
        notes.append(f"engine runs {engine['running']}{waiting}")
    for figure, words in (("kv_used", "KV"), ("prefix_hits", "prefix hits"), ("draft_acceptance", "drafts")):
        if engine[figure] is not None:
            notes.append(f"{words} {engine[figure]:.0%}")
    if member["card"]:
        notes.append(f"card {member['card']}")
    if member["source"] == "joined":
        notes.append("joined")
    return notes


def _waits(pool: dict[str, Any]) -> str:
    p50, p95 = pool["wait_p50_ms"], pool["wait_p95_ms"]
    return "" if p50 is None else f"{lasting(p50 / 1000)} / {lasting(p95 / 1000)}"


def lasting(seconds: float | None) -> str:
    """A time as people read it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def _rate(rate: float | None) -> str:
    return UNKNOWN if rate is None else f"{rate:.1f}"


def _or_unknown(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _said(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
