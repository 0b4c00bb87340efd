"""How GPU cards look on a terminal, and in a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATES = {"awake": "green", "asleep": "blue", "absent": "dim", "unknown": "red"}
UNKNOWN = "—"


def print_cards(seen: dict[str, Any]) -> None:
    """The table of `aither gpu list`."""
    table = _table(
        ("card", "state", "free", "of", "residents", "held", "waiting", "notes"), "free of held waiting"
    )
    for card in seen["data"]:
        table.add_row(
            f"[bold]{_said(card['card'])}[/bold]",
            _posture(card),
            _mib(card["free_mib"]),
            _mib(card["vram_mib"]),
            ", ".join(_resident(each) for each in card["residents"]) or "none",
            str(len(card["leases"])),
            str(len(card["waiters"])),
            _notes(card),
        )
    console = _console()
    nothing = 'no GPU cards; they stand in aither.toml as [cards."HOST/NUMBER"]'
    console.print(table if seen["data"] else _said(nothing))
    for part in seen["degraded"]:
        console.print(f"[yellow]{part['part']} is away: not known: {part['missing']}[/yellow]")


def print_card(card: dict[str, Any]) -> None:
    """The page of `aither gpu show`."""
    console = _console()
    console.print(f"[bold]{_said(card['card'])}[/bold]  {_posture(card)}")
    measured = card["measured_free_mib"]
    seen = "" if measured is None else f", {measured} MiB when last measured"
    console.print(
        f"[dim]{_mib(card['free_mib'])} of {_mib(card['vram_mib'])} free{seen};"
        f" {_mib(card['reserve_mib'])} kept back; {card['granted']} holds granted so far[/dim]"
    )
    if notes := _notes(card):
        console.print(notes)
    residents = _table(("resident", "state", "awake", "at rest", "held", "comes", "notes"), "awake held")
    for each in card["residents"]:
        residents.add_row(
            _said(each["name"]),
            _state(each),
            _mib(each["mib"]),
            _mib(each["asleep_mib"]),
            str(each["holders"]),
            "when held" if each["on_demand"] else "with its card",
            f"[red]{_said(each['why'])}[/red]",
        )
    console.print()
    console.print(residents if card["residents"] else "no residents")
    for title, holds in (("holds", card["leases"]), ("waiting", card["waiters"])):
        console.print()
        console.print(_holds(title, holds) if holds else f"[dim]{title}: none[/dim]")
    if card["more"]:
        console.print(f"[dim]and {card['more']} more[/dim]")


def print_steered(card: dict[str, Any], wish: str, *, waited: bool) -> None:
    """How `aither gpu sleep`, `wake` or `repair` ended well."""
    if not waited:
        said = f"knows; `aither gpu show {card['card']}` tells how far it is"
    else:
        said = {"sleep": "is parked", "wake": "is awake", "repair": "is as it should be"}[wish]
    residents = ", ".join(_resident(each) for each in card["residents"])
    rest = f" [dim]({residents})[/dim]" if waited and residents else ""
    _console().print(f"[bold]{_said(card['card'])}[/bold] {said}{rest}")


def _holds(title: str, holds: list[dict[str, Any]]) -> Table:
    table = _table((title, "priority", "of", "since", "until", "tenant", "holder"), "priority")
    for hold in holds:
        table.add_row(
            _said(hold["what"] or hold["lease"] or "another tenant's"),
            str(hold["priority"]),
            _said(hold["resident"] or f"{hold['mib']} MiB"),
            _clock(hold["since"]),
            _clock(hold["expires_at"]),
            _said(hold["tenant"] or ""),
            _said(hold["holder"] or ""),
        )
    return table


def _posture(card: dict[str, Any]) -> str:
    if card["posture"] is None:
        return "[red]unknown[/red]"
    word = {"awake": "[green]awake[/green]", "asleep": "[blue]parked[/blue]"}[card["posture"]]
    if not card["stale"]:
        return word
    age = UNKNOWN if card["age_s"] is None else f"{card['age_s']:.0f} s"
    return f"{word} [yellow]{age} ago[/yellow]"


def _notes(card: dict[str, Any]) -> str:
    notes = [f"[red]{_said(card['problem'])}[/red]"] if card["problem"] else []
    if card["stale"]:
        notes.append(f"[yellow]{_said(card['why_stale'])}[/yellow]")
    if card["looking"]:
        notes.append("its host looks at what is true")
    return "; ".join(notes)


def _resident(resident: dict[str, Any]) -> str:
    return f"{_said(resident['name'])} {_state(resident)}"


def _state(resident: dict[str, Any]) -> str:
    style = STATES.get(resident["residency"], "white")
    to = f" → {resident['moving_to']}" if resident["moving_to"] else ""
    return f"[{style}]{resident['residency']}{to}[/{style}]"


def _mib(mib: int | None) -> str:
    return UNKNOWN if mib is None else f"{mib} MiB"


def _clock(moment: str | None) -> str:
    from datetime import datetime

    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else ""


def _said(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _table(titles: tuple[str, ...], right: str) -> Table:
    """`right` names the columns of numbers."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in titles:
        justify = "right" if title in right.split() else "left"
        table.add_column(title, justify=justify, no_wrap=title not in {"notes", "residents"})
    return table


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
