"""How a card gets to where an operator wants it: watched until it is there, or does not move any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any

POLL_S = 0.3
STUCK_S = 2.0
"""A card that says what is wrong, and does nothing about it for so long, has failed for now."""


class Ended(Enum):
    """How the wait ended."""

    REACHED = "reached"
    FAILED = "failed"
    LATE = "late"


def followed(
    look: Callable[[], Any], seen: Any, wish: str, *, timeout: float, quiet: bool
) -> tuple[Ended, Any]:
    """Looks until the card is where it was wanted; says meanwhile what it does. The last look is given back."""
    deadline = time.monotonic() + timeout
    since, before = time.monotonic(), None
    with _telling(quiet) as tell:
        while not reached(seen, wish):
            at_work = doing(seen)
            if (at_work, seen["problem"]) != before:
                since, before = time.monotonic(), (at_work, seen["problem"])
                tell(f"{seen['card']}: {at_work or seen['problem'] or 'it has heard'}")
            if seen["problem"] and not at_work and time.monotonic() - since >= STUCK_S:
                return Ended.FAILED, seen
            if time.monotonic() >= deadline:
                return Ended.LATE, seen
            time.sleep(POLL_S)
            seen = look()
        return Ended.REACHED, seen


def reached(card: dict[str, Any], wish: str) -> bool:
    """Whether the card is where `sleep`, `wake` or `repair` was to bring it."""
    residents = card["residents"]
    if card["stale"] or card["looking"] or any(each["moving_to"] for each in residents):
        return False
    if wish == "sleep":
        resting = all(each["residency"] in {"absent", "asleep"} for each in residents)
        return card["posture"] == "asleep" and resting
    if wish == "wake":
        there = all(each["residency"] == "awake" for each in residents if not each["on_demand"])
        return card["posture"] == "awake" and there
    return not card["problem"] and all(each["residency"] != "unknown" for each in residents)


def doing(card: dict[str, Any]) -> str:
    """What the card is at, in words; empty where nothing moves."""
    if card["stale"]:
        return f"it does not answer ({card['why_stale']})"
    moves = [f"{each['name']} is going to be {each['moving_to']}" for each in _moving(card)]
    if moves:
        return ", ".join(moves)
    if card["looking"]:
        return "its host looks at what is true"
    if card["posture"] == "asleep" and card["leases"]:
        holds = len(card["leases"])
        return f"waits for {holds} hold{'' if holds == 1 else 's'} to end"
    return ""


def _moving(card: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in card["residents"] if each["moving_to"]]


@contextmanager
def _telling(quiet: bool) -> Generator[Callable[[str], None]]:
    """Says what changes: in one place on a terminal, in lines elsewhere."""
    if quiet:
        yield lambda _: None
        return
    if not sys.stdout.isatty():

        def line(words: str) -> None:
            sys.stdout.write(words + "\n")
            sys.stdout.flush()

        yield line
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(highlight=False).status("…") as status:
        yield lambda words: status.update(escape(words))
