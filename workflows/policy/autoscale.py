"""Whether a pool gets another box now, and which of its boxes may go. Pure, and without a memory of its own.

What keeps it from swinging: hard work must have waited, a box on its way is waited for, a new one must have served
for a while before another is thought of, and after an end there is a rest, longer the more often it failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from activities.contracts.burst import BurstRules, PoolPressure
from activities.contracts.lease_views import LeaseView
from activities.contracts.leases import LeaseState

MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do. `why` says it of the renting, as far as there is anything to say; `drain` are ids of leases."""

    rent: bool
    why: str
    drain: tuple[str, ...] = ()


def decide(rules: BurstRules, pressure: PoolPressure | None, leases: Sequence[LeaseView]) -> Verdict:
    """From the pool as it is (None: nobody could tell) and its leases, those of the last hours included.

    Never both rents and drains. What is not known rents nothing, and keeps no idle box.
    """
    ours = [lease for lease in leases if lease.pool == rules.pool]
    against = _against(rules, pressure, ours)
    if pressure is not None and against is None:
        return Verdict(rent=True, why=f"{pressure.waiting} wait, the oldest for {_said(pressure.waited)}")
    wanted = pressure is not None and pressure.waiting > 0
    idle = () if wanted else tuple(lease.id for lease in ours if _idle(rules, lease))
    return Verdict(rent=False, why=against or "", drain=idle)


def clears_in(pressure: PoolPressure) -> timedelta | None:
    """When all that waits now will have been taken up; None where nobody can tell."""
    if pressure.waiting == 0:
        return timedelta(0)
    if pressure.done_per_s * timedelta(days=30).total_seconds() < pressure.waiting:
        return None
    return timedelta(seconds=pressure.waiting / pressure.done_per_s)


def _against(rules: BurstRules, pressure: PoolPressure | None, leases: Sequence[LeaseView]) -> str | None:
    """What speaks against renting; None where nothing does."""
    if pressure is None:
        return "how the pool does is not known"
    if pressure.waiting == 0:
        return "nothing waits"
    if not pressure.saturated:
        return f"{pressure.slots - pressure.used} of {pressure.slots} slots are free"
    if pressure.waited < rules.threshold:
        return f"the oldest has waited {_said(pressure.waited)}, {_said(rules.threshold)} is the threshold"
    clears = clears_in(pressure)
    if clears is not None and clears <= rules.boots_in:
        return f"the queue clears in {_said(clears)}, a box takes {_said(rules.boots_in)}"
    return _leases_against(rules, leases)


def _leases_against(rules: BurstRules, leases: Sequence[LeaseView]) -> str | None:
    open_ones = [lease for lease in leases if not lease.state.ended]
    if len(open_ones) >= rules.most:
        return f"{len(open_ones)} leases of at most {rules.most}"
    for lease in open_ones:
        if lease.state is LeaseState.SERVING:
            served = lease.age_s(lease.served_at)
            if lease.served_at is None or served < rules.settle.total_seconds():
                return f"{lease.id} has only begun to serve"
        elif lease.state not in {LeaseState.DRAINING, LeaseState.DESTROYING}:
            return f"{lease.id} is on its way"
    ended = sorted((lease for lease in leases if lease.ended_at is not None), key=_age_of_end)
    if ended and _age_of_end(ended[0]) < (rest := _rest(rules, ended)).total_seconds():
        return f"{ended[0].id} ended a moment ago: rests for {_said(rest)}"
    return None


def _rest(rules: BurstRules, ended: Sequence[LeaseView]) -> timedelta:
    """The newest end is first."""
    failed = 0
    for lease in ended:
        if lease.state not in {LeaseState.FAILED, LeaseState.DENIED}:
            break
        failed += 1
    return min(rules.rest * 2 ** min(failed, MOST_DOUBLINGS), rules.longest_rest)


def _age_of_end(lease: LeaseView) -> float:
    return lease.age_s(lease.ended_at)


def _idle(rules: BurstRules, lease: LeaseView) -> bool:
    if lease.state is not LeaseState.SERVING or lease.calls > 0 or lease.ending_code is not None:
        return False
    since = min(lease.age_s(lease.busy_at or lease.served_at), lease.age_s(lease.state_at))
    return since >= rules.idle.total_seconds()


def _said(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
