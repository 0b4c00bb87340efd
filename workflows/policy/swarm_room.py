"""How wide a swarm may be, whether it may begin another task, and how its findings are put into passes."""

from collections.abc import Sequence

from activities.contracts.jobs import JobRecord, Stop
from activities.contracts.swarm import SwarmPhase

SYNTHESIS_SHARE = 0.25
"""Of a budget: what workers leave for the synthesis."""
SPARE_SLOTS = 1
"""Slots that a swarm leaves free where there are several, for whoever is more urgent."""
MOST_AT_ONCE = 1_000
"""Workers of one swarm at once: half of the children that Temporal lets a workflow have."""
LEAST_IN_A_PASS = 2


def room(slots: int | None, others: int, urgent: int) -> int:
    """Calls that a swarm may have in hand: what `slots` leave besides the calls of `others` and what waits ahead.

    At least one: it waits behind everybody more urgent by its priority, and yet gets on. None: nobody knows.
    """
    if slots is None:
        return MOST_AT_ONCE
    spare = SPARE_SLOTS if slots > 1 else 0
    return max(1, min(MOST_AT_ONCE, slots - others - urgent - spare))


def worker_cap_nano(budget_nano: int | None) -> int | None:
    """What a swarm may have come to with a worker's turn."""
    return None if budget_nano is None else round(budget_nano * (1 - SYNTHESIS_SHARE))


def money_left(job: JobRecord, budget_nano: int | None, one_call_nano: int) -> bool:
    """Whether there is money for another worker's call, which may cost so much."""
    cap = worker_cap_nano(budget_nano)
    return cap is None or one_call_nano == 0 or job.spent_nano + job.reserved_nano + one_call_nano <= cap


def stopped(job: JobRecord, *, late: bool, money: bool) -> Stop | None:
    """Why no task is begun any more. Money that running calls have set aside may come back."""
    if job.status.ended or job.phase is not SwarmPhase.WORKING:
        return Stop.CANCELLED
    if late:
        return Stop.DEADLINE
    if not money and not job.reserved_nano:
        return Stop.BUDGET
    return None


def packed(sizes: Sequence[int], window: int) -> tuple[int, ...]:
    """How many neighbours each pass reads, by their tokens, so that each fits the window.

    A pass that is not the last reads two at least, else a tree would never come to its root; what is too long is
    cut by whoever puts the pass into words.
    """
    counts: list[int] = []
    held = used = 0
    for size in sizes:
        if held >= LEAST_IN_A_PASS and used + size > window:
            counts.append(held)
            held = used = 0
        held, used = held + 1, used + size
    return (*counts, held) if held else tuple(counts)
