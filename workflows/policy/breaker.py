"""A circuit breaker for one backend, as a pure state machine over a clock that is handed in.

`now` is in seconds of any clock that does not go back. A call is admitted with a ticket and reported with it;
the report of a call that was admitted before the breaker last moved says nothing about now, and is ignored.
After Nygard, "Release It!", with a single probe and exponential open times.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from activities.contracts.policy import BreakerRules

FAULTS = frozenset(
    {
        "backend_unavailable",
        "backend_timed_out",
        "backend_rate_limited",
        "backend_refused_key",
        "model_missing",
        "backend_error",
    }
)
"""Codes of `activities.errors` that speak against a backend; any other answer shows that it is there."""


class Phase(StrEnum):
    """Closed lets calls through, open none, half-open a single probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One backend's breaker.

    `ticket` changes with every move. `recent` holds the last `seen` outcomes as bits, 1 a failure, newest
    lowest. `trips` counts openings without calm between; `until` is when an open one admits a probe.
    """

    phase: Phase = Phase.CLOSED
    ticket: int = 0
    in_row: int = 0
    recent: int = 0
    seen: int = 0
    trips: int = 0
    until: float = 0.0
    closed_at: float = 0.0
    probe_at: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Let:
    """The call may be made; report it with the ticket."""

    ticket: int
    probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The call may not be made. `retry_in_s` is 0 while a probe is under way, which may end at any time."""

    retry_in_s: float
    why: str


def look(breaker: Breaker, rules: BreakerRules, now: float) -> Block | None:
    """Whether a call would be blocked now, without making one."""
    if breaker.phase is Phase.OPEN and now < breaker.until:
        return Block(retry_in_s=breaker.until - now, why=breaker.why)
    if breaker.phase is Phase.HALF_OPEN and now - breaker.probe_at < rules.probe_s:
        return Block(retry_in_s=0.0, why=f"{breaker.why}; a probe is under way")
    return None


def admit(breaker: Breaker, rules: BreakerRules, now: float) -> tuple[Breaker, Let | Block]:
    """Admits a call or blocks it. Once the open time is over, the first call is the probe, alone."""
    block = look(breaker, rules, now)
    if block:
        return breaker, block
    if breaker.phase is Phase.CLOSED:
        return breaker, Let(ticket=breaker.ticket)
    probing = replace(breaker, phase=Phase.HALF_OPEN, ticket=breaker.ticket + 1, probe_at=now)
    return probing, Let(ticket=probing.ticket, probe=True)


def report(
    breaker: Breaker,
    rules: BreakerRules,
    now: float,
    ticket: int,
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
) -> Breaker:
    """Takes in how a call ended: `code` is None for success, else of `activities.errors`.

    A Retry-After is the backend's own word on the time to come, so it counts whatever the ticket says.
    """
    if code in FAULTS and retry_after_s is not None and math.isfinite(retry_after_s) and retry_after_s > 0:
        return _asked_to_wait(breaker, now, min(retry_after_s, rules.max_retry_after_s))
    if ticket != breaker.ticket or breaker.phase is Phase.OPEN:
        return breaker
    if code not in FAULTS:
        return _well(breaker, rules, now)
    return _ill(breaker, rules, now, code or "")


def abandon(breaker: Breaker, now: float, ticket: int) -> Breaker:
    """Takes in that a call was given up by us. If it was the probe, the next call may be."""
    if breaker.phase is not Phase.HALF_OPEN or ticket != breaker.ticket:
        return breaker
    return replace(breaker, phase=Phase.OPEN, ticket=breaker.ticket + 1, until=now)


def _well(breaker: Breaker, rules: BreakerRules, now: float) -> Breaker:
    if breaker.phase is Phase.HALF_OPEN:
        return Breaker(ticket=breaker.ticket + 1, trips=breaker.trips, closed_at=now)
    calm = now - breaker.closed_at >= rules.calm_s
    noted = _note(breaker, rules, failed=False)
    return replace(noted, in_row=0, trips=0 if calm else breaker.trips)


def _ill(breaker: Breaker, rules: BreakerRules, now: float, code: str) -> Breaker:
    if breaker.phase is Phase.HALF_OPEN:
        return _open(breaker, rules, now, f"the probe failed: {code}")
    noted = _note(replace(breaker, in_row=breaker.in_row + 1), rules, failed=True)
    if noted.in_row >= rules.failures_in_row:
        return _open(noted, rules, now, f"{noted.in_row} failures in a row: {code}")
    failures = noted.recent.bit_count()
    if noted.seen >= rules.rate_least and failures >= rules.rate * noted.seen:
        return _open(noted, rules, now, f"{failures} of {noted.seen} calls failed: {code}")
    return noted


def _note(breaker: Breaker, rules: BreakerRules, *, failed: bool) -> Breaker:
    mask = (1 << rules.rate_calls) - 1
    return replace(
        breaker,
        recent=(breaker.recent << 1 | failed) & mask,
        seen=min(breaker.seen + 1, rules.rate_calls),
    )


def _open(breaker: Breaker, rules: BreakerRules, now: float, why: str) -> Breaker:
    """Opens, for longer each time unless there was calm since it last closed."""
    calm = breaker.phase is Phase.CLOSED and now - breaker.closed_at >= rules.calm_s
    trips = 1 if calm else breaker.trips + 1
    open_s = min(rules.max_open_s, rules.first_open_s * 2.0 ** min(trips - 1, 60))
    return Breaker(
        phase=Phase.OPEN,
        ticket=breaker.ticket + 1,
        trips=trips,
        until=now + open_s,
        closed_at=breaker.closed_at,
        why=why,
    )


def _asked_to_wait(breaker: Breaker, now: float, seconds: float) -> Breaker:
    until = now + seconds
    if breaker.phase is Phase.OPEN:
        until = max(until, breaker.until)
    return Breaker(
        phase=Phase.OPEN,
        ticket=breaker.ticket + 1,
        trips=breaker.trips,
        until=until,
        closed_at=breaker.closed_at,
        why=f"asked to be left alone for {seconds:g} s",
    )
