"""How `aither temporal` shows what it found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from infra.temporal.namespaces import Done
    from infra.temporal.rollout import Deployment

COLOURS = {
    "made": "green",
    "changed": "green",
    "to be made": "yellow",
    "by hand": "red",
    "on": "green",
    "paused": "yellow",
    "another": "red",
    "missing": "red",
    "current": "green",
    "ramping": "green",
    "draining": "yellow",
}


def print_done(done: Sequence[Done]) -> None:
    """What was made, and what was so already."""
    table = _table("what", "name", "outcome", "note")
    for each in done:
        table.add_row(each.kind, escape(each.name), _coloured(each.doing), escape(each.note))
    _console().print(table)


def print_builds(deployment: Deployment) -> None:
    """The builds of the workers."""
    console = _console()
    if not deployment.builds:
        console.print(f"no worker of deployment {deployment.name} has ever been there")
        return
    table = _table("build", "state", "new work", "workflows", "workers", "since", "queues")
    for each in deployment.builds:
        table.add_row(
            escape(each.id),
            _coloured(each.state),
            f"{each.percent:g} %" if each.percent else "—",
            str(each.running),
            str(each.workers),
            _ago(each.since),
            escape(", ".join(each.queues)),
        )
    console.print(table)


def print_standing(seen: dict[str, Any]) -> None:
    """How Temporal stands."""
    console = _console()
    keys = seen["keys"]
    rows = {
        "server": f"{seen['target']}, {seen['secured']}" + (f", {seen['server']}" if seen["server"] else ""),
        "namespace": seen["namespace"] + (f", keeps {seen['retention']}" if seen["retention"] else ""),
        "payloads": f"encrypted, keys {', '.join(keys)}" if keys else "not encrypted",
        "attributes": ", ".join(name for name, kind in seen["search_attributes"].items() if kind) or "—",
    }
    if deployment := seen["deployment"]:
        builds = ", ".join(f"{each['id']} {each['state']}" for each in deployment["builds"]) or "none yet"
        rows["builds"] = f"{deployment['name']}: {builds}"
    else:
        rows["builds"] = "workers are not versioned"
    table = Table.grid(padding=(0, 2))
    for name, told in rows.items():
        table.add_row(f"[dim]{name}[/dim]", escape(told))
    console.print(table)
    if seen["schedules"]:
        shown = _table("schedule", "every", "state", "last run", "next")
        for each in seen["schedules"]:
            last, coming = (
                datetime.fromisoformat(each[key]) if each[key] else None for key in ("last", "next")
            )
            shown.add_row(each["name"], each["every"], _coloured(each["state"]), _ago(last), _ago(coming))
        console.print()
        console.print(shown)
    for line in seen["missing"]:
        console.print(f"[red]{escape(line)}[/red]", soft_wrap=True)


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/{colour}]" if colour else word


def _ago(when: datetime | None) -> str:
    """How long ago that was, or in how long it will be."""
    if when is None:
        return "—"
    seconds = (datetime.now(UTC) - when).total_seconds()
    sizes = ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h"), (float("inf"), 86_400, "d"))
    _, size, unit = next(each for each in sizes if abs(seconds) < each[0])
    count = abs(seconds) / size
    return f"{count:.0f} {unit} ago" if seconds >= 0 else f"in {count:.0f} {unit}"
