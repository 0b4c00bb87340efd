"""What a lease does next: one decision on one look. It knows no clock, and nothing that is not in the look.

The order of things: quote, agree, rent, boot, join, serve, drain, destroy, verify gone, account. Whatever goes wrong
from the order on, the way leads through DESTROYING, and out of it only when the market has said for `settle` that
there is no such box.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from activities.contracts.lease_views import Agreement, EndCode, LeasePlan, LeaseSight, Presence
from activities.contracts.leases import InstanceState, LeaseState

HOUR_S = 3600.0


class Do(StrEnum):
    """What a step is. VOID says that an order came to nothing; MOVE and CLOSE change the state alone."""

    QUOTE = "quote"
    ASK = "ask"
    RENT = "rent"
    VOID = "void"
    MOVE = "move"
    DESTROY = "destroy"
    WAIT = "wait"
    CLOSE = "close"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `to` is the state that follows, `ending` why the lease ends where this step decides that.

    `exclude` has the box's machine left out from now on; `pause` is how long to wait before the next look.
    """

    do: Do
    to: LeaseState | None = None
    why: str = ""
    ending: EndCode | None = None
    exclude: bool = False
    pause: timedelta = timedelta()


def next_step(sight: LeaseSight, plan: LeasePlan) -> Step:
    """What follows from this look."""
    return _NEXT[sight.state](sight, plan) if not sight.state.ended else Step(do=Do.DONE)


def horizon(plan: LeasePlan) -> timedelta:
    """For how long a box goes on billing, at most, once it has been decided at the next check that it ends."""
    timing = plan.timing
    return timing.check + timing.drain + timing.poll


def over_lease_cap(sight: LeaseSight, plan: LeasePlan) -> bool:
    """Whether the box would cost more than its lease may if it were left until the next check, and then ended."""
    ahead_usd = sight.usd_per_hour * horizon(plan).total_seconds() / HOUR_S
    return sight.spent_usd + ahead_usd >= plan.lease_usd


def _asked(sight: LeaseSight, plan: LeasePlan) -> Step:
    if sight.ending:
        return _closing(sight, sight.ending)
    if sight.choices == 0:
        return _quote(sight, plan)
    if plan.agreement is Agreement.ASK and not sight.agreed:
        return Step(do=Do.ASK)
    return Step(do=Do.MOVE, to=LeaseState.APPROVED, why="" if sight.agreed else "nobody need agree")


def _approved(sight: LeaseSight, plan: LeasePlan) -> Step:
    if sight.ending:
        return _closing(sight, sight.ending)
    if sight.boxes >= plan.boxes:
        return _closing(sight, EndCode.BOOT_FAILED, f"{sight.boxes} boxes were tried")
    if sight.attempt >= plan.orders:
        return _closing(sight, EndCode.NO_OFFER, f"{sight.attempt} orders came to nothing")
    if sight.choices == 0:
        return _quote(sight, plan)
    return Step(do=Do.RENT, pause=plan.timing.poll)


def _quote(sight: LeaseSight, plan: LeasePlan) -> Step:
    if sight.quotes >= plan.quotes:
        return _closing(sight, EndCode.NO_OFFER, f"{sight.quotes} searches found no offer that can be had")
    if sight.in_state_s >= plan.timing.quote.total_seconds():
        return _closing(sight, EndCode.NO_OFFER, "the market has not answered a search")
    return Step(do=Do.QUOTE, pause=plan.timing.poll)


def _renting(sight: LeaseSight, plan: LeasePlan) -> Step:
    """Whether there is a box is unknown. Nothing else is ordered until it is known, however long that takes."""
    if _settled(sight, plan):
        return Step(do=Do.VOID, to=LeaseState.APPROVED, why="the market has no instance of this order")
    return Step(do=Do.WAIT, pause=plan.timing.poll)


def _coming(sight: LeaseSight, plan: LeasePlan) -> Step:
    """A box that does not serve yet."""
    if sight.ending:
        return _destroyed("it is wanted no more")
    if stopped := _unfit(sight) or _dearer(sight, plan):
        return _destroyed(*stopped)
    if broken := _broken(sight, plan):
        return _destroyed(broken, exclude=True)
    if sight.ready:
        return Step(do=Do.MOVE, to=LeaseState.SERVING)
    runs = sight.presence is Presence.PRESENT and sight.box_state is InstanceState.RUNNING
    if sight.state is LeaseState.BOOTING and (sight.joined or runs):
        return Step(do=Do.MOVE, to=LeaseState.JOINING)
    return Step(do=Do.WAIT, pause=plan.timing.poll)


def _broken(sight: LeaseSight, plan: LeasePlan) -> str:
    """Why this box will not come up, on this machine: another may. Empty where it may yet."""
    timing = plan.timing
    booting, joining = sight.state is LeaseState.BOOTING, sight.state is LeaseState.JOINING
    signs = (
        (_settled(sight, plan), "the box has vanished"),
        (sight.failed_boot and not sight.ready, sight.problem or f"the box is {sight.box_state}"),
        (
            sight.joined and sight.joined_s >= timing.load.total_seconds(),
            "its server did not come up in time",
        ),
        (sight.joined and sight.silent_s >= timing.silence.total_seconds(), "it joined, and fell silent"),
        (
            booting and not sight.joined and sight.since_order_s >= timing.boot.total_seconds(),
            f"stuck: {sight.box_state or 'not seen'} for {sight.since_order_s:.0f} s",
        ),
        (
            joining and not sight.joined and sight.in_state_s >= timing.join.total_seconds(),
            "it runs, and never joined",
        ),
    )
    return next((why for is_so, why in signs if is_so), "")


def _unfit(sight: LeaseSight) -> tuple[str, EndCode] | None:
    """Why no box would do: what this one says that it cannot do is no fault of its machine."""
    return (sight.box_problem, EndCode.BOX_FAILED) if sight.box_problem else None


def _dearer(sight: LeaseSight, plan: LeasePlan) -> tuple[str, EndCode] | None:
    """Why the box costs more than it may, if it does."""
    most = plan.need.usd_per_hour
    if sight.usd_per_hour > most:
        return f"it costs {sight.usd_per_hour:.3f} $/h now, and {most:g} is the most", EndCode.PRICE_RAISED
    if over_lease_cap(sight, plan):
        return f"{sight.spent_usd:.2f} $ of the lease's {plan.lease_usd:g} are spent", EndCode.LEASE_CAP
    return None


def _lost(sight: LeaseSight, plan: LeasePlan) -> Step | None:
    """A box that served and is not there any more, or says nothing: nobody can be served by it."""
    if _settled(sight, plan):
        return _destroyed("the box has vanished", EndCode.BOX_LOST)
    if sight.box_problem:
        return _destroyed(sight.box_problem, EndCode.BOX_FAILED)
    # A box that is heard of is there, whatever the market says of it.
    silence = plan.timing.silence
    if sight.failed_boot and sight.silent_s >= silence.total_seconds() / 3:
        return _destroyed(sight.problem or f"the box is {sight.box_state}", EndCode.BOX_LOST)
    if sight.silent_s >= silence.total_seconds():
        return _destroyed("nothing is heard of it", EndCode.BOX_LOST)
    return None


def _serving(sight: LeaseSight, plan: LeasePlan) -> Step:
    if lost := _lost(sight, plan):
        return lost
    if sight.ending:
        return _drained("it is wanted no more")
    if stopped := _dearer(sight, plan):
        return _drained(*stopped)
    if sight.calls == 0 and sight.idle_s >= plan.timing.idle.total_seconds():
        return _drained(f"idle for {sight.idle_s:.0f} s", EndCode.IDLE)
    return Step(do=Do.WAIT, pause=plan.timing.check)


def _draining(sight: LeaseSight, plan: LeasePlan) -> Step:
    if lost := _lost(sight, plan):
        return lost
    if sight.calls == 0 and sight.silent_s < sight.in_state_s:
        return _destroyed("drained")
    if sight.in_state_s >= plan.timing.drain.total_seconds():
        return _destroyed(f"{sight.calls} calls did not end in time")
    return Step(do=Do.WAIT, pause=plan.timing.poll)


def _destroying(sight: LeaseSight, plan: LeasePlan) -> Step:
    if not _settled(sight, plan):
        absent = sight.presence is Presence.ABSENT
        return Step(do=Do.WAIT if absent else Do.DESTROY, pause=plan.timing.poll)
    if sight.ending:
        return _closing(sight, sight.ending)
    if sight.boxes >= plan.boxes:
        return _closing(sight, EndCode.BOOT_FAILED, f"{sight.boxes} boxes were tried")
    return Step(do=Do.MOVE, to=LeaseState.APPROVED, why="the box is verified gone; another is tried")


def _settled(sight: LeaseSight, plan: LeasePlan) -> bool:
    """Whether the market says, and has said for long enough, that there is no box of this attempt."""
    absent = sight.presence is Presence.ABSENT and sight.unseen_s is not None
    return absent and (sight.unseen_s or 0.0) >= plan.timing.settle.total_seconds()


def _destroyed(why: str, ending: EndCode | None = None, *, exclude: bool = False) -> Step:
    return Step(do=Do.MOVE, to=LeaseState.DESTROYING, why=why, ending=ending, exclude=exclude)


def _drained(why: str, ending: EndCode | None = None) -> Step:
    return Step(do=Do.MOVE, to=LeaseState.DRAINING, why=why, ending=ending)


_NEVER_HAD = {
    EndCode.DENIED,
    EndCode.LEASE_CAP,
    EndCode.DAY_CAP,
    EndCode.MONTH_CAP,
    EndCode.SWITCHED_OFF,
    EndCode.TOO_MANY,
}


def _closing(sight: LeaseSight, ending: EndCode, why: str = "") -> Step:
    """The end that fits: FAILED where it did not do what it was for, DENIED where it might not even begin."""
    to = LeaseState.FAILED if ending.failure else LeaseState.GONE
    if ending in _NEVER_HAD and sight.boxes == 0:
        to = LeaseState.DENIED
    return Step(do=Do.CLOSE, to=to, ending=ending, why=why)


_NEXT = {
    LeaseState.ASKED: _asked,
    LeaseState.APPROVED: _approved,
    LeaseState.RENTING: _renting,
    LeaseState.BOOTING: _coming,
    LeaseState.JOINING: _coming,
    LeaseState.SERVING: _serving,
    LeaseState.DRAINING: _draining,
    LeaseState.DESTROYING: _destroying,
}
