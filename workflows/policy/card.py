"""A GPU card as a pure state machine: who is on it, who holds, who waits.

`step` takes in events and settles: it gives the next state, what is to be done, and when something happens by
itself. The same events at the same times make the same state. Never more VRAM is given than there is; one move
at a time; a lease whose time is over is lost, and its token with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activities.contracts.cards import (
    CardSpec,
    Denial,
    HoldAsk,
    LeaseDecision,
    LeaseRef,
    MoveDone,
    Posture,
    Residency,
    Resident,
)
from workflows.policy.card_moves import (
    SLOW,
    begin,
    doubt,
    inspect,
    inspect_effect,
    move_done,
    move_effect,
    next_move,
    problem,
    reported,
    rests_at,
    slow_at,
    uninspected,
)
from workflows.policy.card_room import largest, leaves
from workflows.policy.card_state import (
    EPOCH,
    LEAST_URGENT,
    LONGEST_WAIT,
    MAX_WAITERS,
    SHORTEST_TTL,
    WHAT_LENGTH,
    CardState,
    Effect,
    Event,
    Release,
    Renew,
    Repair,
    Report,
    Seat,
    Tell,
    Uninspected,
    Waiter,
)
from workflows.policy.card_waiting import serve

FORGOTTEN = "the card does not know this lease (any more)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step came to. `wake_in`: when to step again though nothing has happened; None for never."""

    state: CardState
    effects: tuple[Effect, ...]
    wake_in: timedelta | None


def step(state: CardState, now: datetime, events: Sequence[Event] = ()) -> Step:
    """Takes in the events in their order, and does what follows from them and from the time."""
    card, out = state.copy(), list[Effect]()
    first = card.heard == EPOCH
    card.tick(now)
    before = None if first else _shown(card)
    if first:
        configure(card, card.spec, out)
    for event in events:
        apply(card, event, out)
    ages_at = settle(card, out)
    if _shown(card) != before:
        card.revision += 1
    return Step(state=card, effects=tuple(out), wake_in=_wake_in(card, ages_at))


def resumed(state: CardState) -> tuple[Effect, ...]:
    """What an earlier run of the workflow had begun, and this one does again; all of it is safe to do twice."""
    effects: list[Effect] = list(state.untold)
    if state.move is not None:
        effects.append(move_effect(state, state.move))
    if state.inspecting is not None:
        effects.append(inspect_effect(state))
    return tuple(effects)


def apply(card: CardState, event: Event, out: list[Effect]) -> None:
    """Takes in one event."""
    match event:
        case HoldAsk():
            ask(card, event, out)
        case Renew(ref=ref):
            renew(card, ref, out)
        case Release(ref=ref):
            release(card, ref)
        case MoveDone():
            move_done(card, event, out)
        case Report(inventory=inventory, asked=asked):
            reported(card, inventory, out, asked=asked)
        case Uninspected(why=why):
            uninspected(card, why)
        case Posture():
            card.posture = event
        case Repair():
            repair(card)
        case CardSpec():
            configure(card, event, out)


def ask(card: CardState, asked: HoldAsk, out: list[Effect]) -> None:
    """Lets an ask wait, for `settle` to grant it; or refuses it. Asked again, it is told the same again."""
    asked = _bounded(asked)
    known = card.leases.get(asked.lease)
    if known is not None:
        known = replace(known, ask=replace(known.ask, holder=asked.holder, holder_run=asked.holder_run))
        card.leases[asked.lease] = known
        out.append(card.grant_of(known))
    elif asked.lease in card.waiters:
        waiter = card.waiters[asked.lease]
        again = replace(waiter.ask, holder=asked.holder, holder_run=asked.holder_run)
        card.waiters[asked.lease] = replace(waiter, ask=again)
    elif asked.lease in card.past:
        decision = card.past[asked.lease].decision
        out.append(Tell(holder=asked.holder, holder_run=asked.holder_run, decision=decision))
    elif refusal := refused(card, asked) or _crowded(card):
        card.deny([asked], *refusal, out)
    else:
        card.arrivals += 1
        card.changes += 1
        card.waiters[asked.lease] = Waiter(ask=asked, since=card.at, number=card.arrivals)


def refused(card: CardState, asked: HoldAsk) -> tuple[Denial, str] | None:
    """Why the ask cannot be granted, however long it waits."""
    spec, name = card.spec, asked.resident
    if card.posture is Posture.ASLEEP:
        return Denial.CARD_ASLEEP, f"{spec.card} is parked"
    resident = next((each for each in spec.residents if each.name == name), None)
    if name is not None and resident is None:
        return Denial.NEVER_FITS, f"{name} is not a resident of {spec.card}"
    mib = asked.mib if resident is None else resident.mib
    if mib <= 0:
        return Denial.NEVER_FITS, "a job's hold is of 1 MiB or more"
    most = largest(card, name)
    if mib > most:
        why = f"{mib} MiB never fit on {spec.card}: {max(0, most)} are left beside what stays there"
        return Denial.NEVER_FITS, why
    if resident is not None and not card.shareable(resident.name):
        seat = card.seats[resident.name]
        if seat.retry_at > card.at:
            left = (seat.retry_at - card.at).total_seconds()
            return (
                Denial.MOVE_FAILED,
                f"{seat.why or 'it was lost again and again'}; not tried for {left:.0f} s",
            )
    return None


def renew(card: CardState, ref: LeaseRef, out: list[Effect]) -> None:
    """Extends a lease by its TTL from now, unless the card is parked; tells the holder of one that is lost."""
    held = card.leases.get(ref.lease)
    if held is None:
        told = card.past.get(ref.lease)
        if told is not None and told.holder:
            out.append(told)
        elif ref.holder and ref.lease not in card.waiters:
            decision = LeaseDecision(lease=ref.lease, denial=Denial.LEASE_LOST, why=FORGOTTEN)
            out.append(Tell(holder=ref.holder, holder_run=ref.holder_run, decision=decision))
    elif ref.token in {None, held.token} and card.posture is Posture.AWAKE:
        until = max(held.expires_at, card.at + held.ask.ttl)
        card.leases[ref.lease] = replace(held, expires_at=until)


def release(card: CardState, ref: LeaseRef) -> None:
    """Ends a lease, or withdraws an ask; also one that has yet to arrive."""
    held = card.leases.get(ref.lease)
    if held is not None:
        if ref.token in {None, held.token}:
            card.drop(held)
            card.end(held.ask, Denial.LEASE_LOST, "it was released")
    elif waiter := card.waiters.pop(ref.lease, None):
        card.end(waiter.ask, Denial.LEASE_LOST, "it was withdrawn")
    elif ref.lease not in card.past:
        decision = LeaseDecision(lease=ref.lease, denial=Denial.LEASE_LOST, why="it was withdrawn")
        card.remember(Tell(holder=ref.holder, holder_run=ref.holder_run, decision=decision))


def repair(card: CardState) -> None:
    """Forgets pauses and complaints, and asks the host what is true."""
    for name, seat in card.seats.items():
        card.seats[name] = replace(seat, failures=0, retry_at=EPOCH, why="")
    card.mismatch, card.doubts = "", 0
    doubt(card, card.at)


def configure(card: CardState, spec: CardSpec, out: list[Effect]) -> None:
    """Takes the card's new configuration. A resident that is not in it any more leaves when it can."""
    now = {each.name for each in spec.residents}
    card.former = tuple(
        replace(each, on_demand=True) for name, each in card.residents.items() if name not in now
    )
    card.spec = spec
    for each in spec.residents:
        if each.name not in card.seats:
            card.seats[each.name] = Seat(since=card.at, used=card.at)
            doubt(card, card.at)
    for waiter in list(card.waiters.values()):
        if refusal := refused(card, waiter.ask):
            card.deny([waiter.ask], *refusal, out)


def settle(card: CardState, out: list[Effect]) -> datetime | None:
    """Takes lost leases away, grants, starts what is next; returns when a waiter's age changes anything."""
    over = [held for held in card.leases.values() if held.expires_at <= card.at]
    card.lose(over, "its time was over", out)
    if card.posture is Posture.ASLEEP:
        parked = [waiter.ask for waiter in card.waiters.values()]
        card.deny(parked, Denial.CARD_ASLEEP, f"{card.spec.card} is parked", out)
    stale = [each.ask for each in card.waiters.values() if card.at - each.since >= LONGEST_WAIT]
    card.deny(stale, Denial.NO_ROOM, "it has waited for a day", out)
    _let_go(card)
    served = serve(card, out)
    if card.move is None and card.inspecting is None:
        if card.doubt is not None and card.doubt <= card.at:
            inspect(card, out)
        elif wanted := next_move(card, served.wanted):
            begin(card, wanted, out)
    card.problem = problem(card)
    return served.ages_at


def _bounded(asked: HoldAsk) -> HoldAsk:
    return replace(
        asked,
        priority=min(max(asked.priority, 1), LEAST_URGENT),
        ttl=max(asked.ttl, SHORTEST_TTL),
        mib=asked.mib if asked.resident is None else 0,
        what=asked.what[:WHAT_LENGTH],
    )


def _crowded(card: CardState) -> tuple[Denial, str] | None:
    if len(card.waiters) < MAX_WAITERS:
        return None
    return Denial.NO_ROOM, f"{MAX_WAITERS} wait for {card.spec.card} already"


def _let_go(card: CardState) -> None:
    """Forgets residents that were configured away and have left."""
    holders = card.holders()
    gone = {
        each.name
        for each in card.former
        if card.seats[each.name].residency is each.rest or card.seats[each.name].residency is Residency.ABSENT
        if not card.moving(each.name) and not holders.get(each.name)
    }
    card.former = tuple(each for each in card.former if each.name not in gone)
    for name in gone:
        del card.seats[name]


def _wake_in(card: CardState, ages: datetime | None) -> timedelta | None:
    """Until the next time that something happens by itself."""
    times = [held.expires_at for held in card.leases.values()]
    times += [waiter.since + LONGEST_WAIT for waiter in card.waiters.values()]
    if ages is not None:
        times.append(ages)
    if card.move is not None:
        times.append(slow_at(card.move))
    elif card.inspecting is not None:
        times.append(card.inspecting + SLOW)
    else:
        holders = card.holders()
        times += [seat.retry_at for seat in card.seats.values()]
        times += [card.doubt] if card.doubt is not None else []
        times += [rests_at(card, each) for each in _restless(card) if not holders.get(each.name)]
    ahead = [moment - card.at for moment in times if moment > card.at]
    return min(ahead, default=None)


def _restless(card: CardState) -> list[Resident]:
    awake = [name for name, seat in card.seats.items() if seat.residency is Residency.AWAKE]
    return [card.residents[name] for name in awake if leaves(card, card.residents[name])]


def _shown(card: CardState) -> tuple[object, ...]:
    """What a revision is of."""
    seats = tuple((name, seat.residency, seat.why) for name, seat in card.seats.items())
    moving = (card.move.resident.name, card.move.to) if card.move else None
    return seats, moving, card.posture, card.problem, card.spec
