"""Leases on a terminal."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLOURS = {"serving": "green", "failed": "red", "denied": "red", "gone": "dim"}
RIGHT = {"up", "so far", "$/h", "cap", "tokens", "calls"}


def print_leases(seen: dict[str, Any]) -> None:
    """All of them, and what burst costs."""
    console, burst = _console(), seen["burst"]
    if seen["data"]:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for title in ("lease", "for", "state", "up", "so far", "$/h", "cap", "tokens", "calls", "box", "why"):
            table.add_column(title, justify="right" if title in RIGHT else "left", no_wrap=title != "why")
        for lease in seen["data"]:
            table.add_row(*_cells(lease))
        console.print(table)
    else:
        console.print("no box is rented")
    if not burst["enabled"]:
        console.print("[yellow]burst is switched off[/yellow]: nothing is rented by itself")
    caps = [
        f"{burst[f'{span}_usd']:.2f} $ this {span}" + (f" of {cap:g}" if cap is not None else "")
        for span in ("day", "month")
        for cap in (burst[f"{span}_cap_usd"],)
    ]
    console.print(f"[dim]{', '.join(caps)}; {burst['usd_per_hour']:.3f} $ an hour now[/dim]")


def print_lease(lease: dict[str, Any]) -> None:
    """One, with all that happened to it."""
    console = _console()
    state = f"[{COLOURS.get(lease['state'], 'yellow')}]{lease['state']}[/]"
    console.print(f"[bold]{lease['id']}[/bold]  {state}  for {lease['purpose']} in {lease['pool']}")
    console.print(f"  asked by {escape(lease['asked_by'])}, {lease['asked_at'][:19]}")
    if lease["ending"]:
        console.print(f"  ends: {escape(lease['ending'])}")
    if offer := lease["offer"]:
        console.print(
            f"  {offer['gpus']}× {escape(offer['gpu'])} in {escape(offer['region'])}, machine"
            f" {offer['machine']}, {offer['usd_per_hour']:.3f} $/h all told"
        )
    console.print(
        f"  up {_hours(lease['hours_up'])}, {lease['usd']:.4f} $ of {lease['usd_cap']:g},"
        f" {lease['usd_per_hour']:.3f} $/h now, {lease['tokens']} tokens served"
    )
    for event in lease["events"]:
        line = f"  {event['at'][11:19]}  {event['event']:<14} {event['actor']:<10} {event['told']}"
        console.print(escape(line.rstrip()), soft_wrap=True)


def _cells(lease: dict[str, Any]) -> tuple[str, ...]:
    offer = lease["offer"]
    return (
        lease["id"],
        lease["purpose"],
        f"[{COLOURS.get(lease['state'], 'yellow')}]{lease['state']}[/]",
        _hours(lease["hours_up"]),
        f"{lease['usd']:.4f} $",
        f"{lease['usd_per_hour']:.3f}",
        f"{lease['usd_cap']:g}",
        str(lease["tokens"]),
        str(lease["calls"]),
        escape(f"{offer['gpu']} {lease['box']}".strip()) if offer else "",
        escape(lease["ending"] or lease["why"]),
    )


def _hours(hours: float) -> str:
    return f"{hours * 60:.1f} min" if hours < 2 else f"{hours:.1f} h"


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
