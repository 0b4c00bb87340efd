"""`aither burst offers`: what the market has to rent, in the order in which it would be tried, and what is left out."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, find

EPILOG = "Example: aither burst offers --for reasoning --all"

SHOWN = 15
RIGHT = {"$/h real", "GPU", "disk", "download", "useful in", "$/useful h", "Mb/s", "sure"}


class For(StrEnum):
    """What a box would be rented for."""

    REASONING = "reasoning"
    IMAGES = "images"


def offers(
    *,
    purpose: Annotated[For, typer.Option("--for", help="What a box would be rented for.")],
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Every offer, not only the first of each table.")
    ] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Show what could be rented now, with the time until it is of use and what it really costs. Rents nothing.

    Below it are the offers that will not do, and why.
    """
    with Client(find(api_url, data_dir)) as client:
        seen = client.get("/v1/burst/offers", **{"for": purpose.value})
    if as_json:
        sys.stdout.write(json.dumps(seen, indent=2, ensure_ascii=False) + "\n")
        return
    _print(seen, len(seen["data"]) + len(seen["dropped"]) if every else SHOWN)


def _print(seen: dict[str, Any], shown: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    ranked, dropped = seen["data"], seen["dropped"]
    limit = f"at most {seen['most_usd_per_hour']:g} $/h all told, downloads spread over {seen['hours']:g} h"
    console.print(f"[bold]{len(ranked)} will do[/bold] for {seen['purpose']}: {limit}")
    if ranked:
        table = Table(box=None, header_style="dim", pad_edge=False)
        titles = ("offer", "card", "where", "Mb/s", "useful in", "$/useful h", "$/h real", "GPU", "disk")
        for title in (*titles, "download", "sure"):
            table.add_column(title, justify="right" if title in RIGHT else "left", no_wrap=True)
        for each in ranked[:shown]:
            table.add_row(*(escape(cell) for cell in _cells(each)))
        console.print(table)
    _more(console, len(ranked) - shown)
    if not dropped:
        return
    console.print(f"\n[bold]{len(dropped)} will not[/bold]: {_counted(dropped)}")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("offer", "card", "where", "Mb/s", "$/h GPU", "why not"):
        table.add_column(title, justify="right" if title in {"Mb/s", "$/h GPU"} else "left", overflow="fold")
    for each in _few_of_each(dropped, shown):
        speed, price = f"{each['inet_down_mbps']:.0f}", f"{each['usd_per_hour']:.3f}"
        table.add_row(
            each["id"], escape(_card(each)), escape(each["region"]), speed, price, escape(each["why"])
        )
    console.print(table)
    _more(console, len(dropped) - shown)


def _cells(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["id"],
        _card(each),
        each["region"],
        f"{each['inet_down_mbps']:.0f}",
        _lasting(each["useful_in_s"]),
        f"{each['usd_per_useful_hour']:.3f}",
        f"{each['real_usd_per_hour']:.3f}",
        f"{each['usd_per_hour']:.3f}",
        f"{each['storage_usd_per_hour']:.3f}",
        f"{each['download_usd']:.2f} $",
        f"{each['reliability']:.1%}",
    )


def _card(each: dict[str, Any]) -> str:
    return f"{each['gpus']}× {each['gpu']}" if each["gpus"] > 1 else each["gpu"]


def _lasting(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _counted(dropped: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for each in dropped:
        counts[each["drop"]] = counts.get(each["drop"], 0) + 1
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count} by {drop.replace('_', ' ')}" for drop, count in ordered)


def _few_of_each(dropped: list[dict[str, Any]], shown: int) -> list[dict[str, Any]]:
    """The first ones of every reason, so that none hides the others."""
    if len(dropped) <= shown:
        return dropped
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for each in dropped:
        by_reason.setdefault(each["drop"], []).append(each)
    each_one = max(1, shown // len(by_reason))
    return [row for rows in by_reason.values() for row in rows[:each_one]]


def _more(console: Any, left: int) -> None:
    if left > 0:
        console.print("[dim]--all shows the others[/dim]")
