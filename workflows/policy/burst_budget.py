"""Hard stops on what rented boxes cost: per lease, day and month (UTC). Pure.

Counted is what is booked, what has been billed since, and what will be until the boxes could be gone if the next
check is what ends them. A box that may have been ordered counts as one that was. So a cap is passed only by what
nobody could know at the last check, such as a price raised since: for one interval, not for longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.contracts.lease_views import Creation, EndCode, LeaseView, Refusal, Spending

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstCaps:
    """The most that all leases together may cost, in US dollars; None is no cap. A lease's own is in its plan."""

    day_usd: float | None = None
    month_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What will have been spent by the time that boxes ended at the next check are gone, in US dollars."""

    day_usd: float
    month_usd: float
    leases: dict[str, float]


def bills(lease: LeaseView) -> bool:
    """Whether the lease has a box that bills, or may have one."""
    return lease.creation in {Creation.INTENDED, Creation.MADE} and not lease.state.ended


def outlook(spending: Spending, leases: Sequence[LeaseView], ahead: timedelta) -> Outlook:
    """What comes of the open leases if nothing is ended before the next check.

    `ahead` is from now until boxes that this next check ends bill no more. What is billed after midnight counts
    for the day that ends, too: that stops a little early rather than late.
    """
    day, month, each_lease = spending.day_usd, spending.month_usd, dict[str, float]()
    for lease in leases:
        once = _unbooked_download(lease)
        whole = _ahead_usd(lease, ahead, None) + once
        each_lease[lease.id] = lease.spent_usd + whole
        day += _ahead_usd(lease, ahead, _day_start(lease.now)) + once
        month += _ahead_usd(lease, ahead, _day_start(lease.now).replace(day=1)) + once
    return Outlook(day_usd=day, month_usd=month, leases=each_lease)


def overruns(
    spending: Spending, leases: Sequence[LeaseView], caps: BurstCaps, ahead: timedelta
) -> dict[str, Refusal]:
    """Which of the open leases must drain and end now, and why. All of them, where the day's or month's is up."""
    seen = outlook(spending, leases, ahead)
    shared = _reached(seen.day_usd, seen.month_usd, caps)
    ended: dict[str, Refusal] = {}
    for lease in leases:
        if lease.state.ended or lease.ending_code is not None:
            continue
        refusal = shared
        if refusal is None and bills(lease) and seen.leases[lease.id] >= lease.plan.lease_usd:
            refusal = _lease_cap(seen.leases[lease.id], lease)
        if refusal is not None:
            ended[lease.id] = refusal
    return ended


def may_rent(
    spending: Spending, leases: Sequence[LeaseView], caps: BurstCaps, ahead: timedelta
) -> Refusal | None:
    """Whether the first of the open leases may order its best choice now; the others are what bills beside it.

    It must get as far as its first answer, and be ended after that, below every cap: a box that is paid for and
    never of use is refused.
    """
    lease = leases[0]
    seen = outlook(spending, leases, ahead)
    more = 0.0
    if lease.choices:
        choice = lease.choices[0]
        rate = choice.offer.usd_per_hour + choice.storage_usd_per_hour
        more = choice.download_usd + rate * (choice.useful_in + ahead).total_seconds() / HOUR_S
    refusal = _reached(seen.day_usd + more, seen.month_usd + more, caps)
    if refusal is None and seen.leases[lease.id] + more >= lease.plan.lease_usd:
        refusal = _lease_cap(seen.leases[lease.id] + more, lease)
    return refusal


def _ahead_usd(lease: LeaseView, ahead: timedelta, since: datetime | None) -> float:
    """What it bills that is not booked, from then on, until boxes are gone."""
    if not bills(lease):
        return 0.0
    begun = lease.billed_to or lease.intended_at or lease.now
    begun = begun if since is None else max(begun, since)
    seconds = max(0.0, (lease.now + ahead - begun).total_seconds())
    return lease.usd_per_hour * seconds / HOUR_S


def _unbooked_download(lease: LeaseView) -> float:
    """An order that may have been carried out has its download before it."""
    unbooked = bills(lease) and lease.creation is Creation.INTENDED and lease.offer is not None
    return lease.offer.download_usd if unbooked and lease.offer else 0.0


def _reached(day_usd: float, month_usd: float, caps: BurstCaps) -> Refusal | None:
    if caps.day_usd is not None and day_usd >= caps.day_usd:
        return Refusal(code=EndCode.DAY_CAP, why=_why("day", day_usd, caps.day_usd))
    if caps.month_usd is not None and month_usd >= caps.month_usd:
        return Refusal(code=EndCode.MONTH_CAP, why=_why("month", month_usd, caps.month_usd))
    return None


def _lease_cap(usd: float, lease: LeaseView) -> Refusal:
    return Refusal(code=EndCode.LEASE_CAP, why=_why("lease", usd, lease.plan.lease_usd))


def _why(span: str, usd: float, cap: float) -> str:
    return f"boxes would cost {usd:.2f} $ of the {cap:g} $ that they may in a {span}"


def _day_start(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
