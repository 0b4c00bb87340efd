"""Where a card's residents are, by what its host says, and which move is next.

A move that failed is not tried again at once, but after a pause that doubles; a resident that stays awake for a
while has its failures forgiven. Of an UNKNOWN resident the host is asked first; what it cannot tell either is
brought to where it should be.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from activities.contracts.cards import (
    Denial,
    Found,
    InspectAsk,
    Inventory,
    MoveAsk,
    MoveDone,
    Posture,
    Residency,
    Resident,
)
from workflows.policy.card_room import budget, leaves, may_come, standing, stays, taken
from workflows.policy.card_state import CardState, Effect, Inspect, Move, Seat, StartMove
from workflows.policy.card_waiting import Wanted, in_order

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
CALM = timedelta(minutes=1)
"""Awake for so long, a resident is well."""
SETTLING = timedelta(seconds=5)
"""So soon after a move, a host's unasked report may be older than the move."""
SLOW = timedelta(seconds=30)
"""A move may take its resident's start time and this before the card says that something is wrong."""


def pause(failures: int) -> timedelta:
    """How long after so many failures in a row a resident is left alone."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(failures - 1, 0), 10))


# --- what the host says


def move_done(card: CardState, done: MoveDone, out: list[Effect]) -> None:
    """Takes in how the move under way ended; word of any other is too late to count."""
    move = card.move
    if move is None or (done.number, done.resident) != (move.number, move.resident.name):
        return
    card.move = None
    name, before = done.resident, card.seats.get(done.resident, Seat())
    _measured(card, done.free_mib, None)
    if done.ok and done.residency is move.to:
        card.seats[name] = Seat(
            residency=move.to, since=card.at, used=card.at, failures=_failures(card, before)
        )
        if move.to is Residency.AWAKE and card.posture is Posture.AWAKE:
            for waiter in [each for each in in_order(card) if each.ask.resident == name]:
                card.grant(waiter, out)
        return
    why = done.why or f"it is {done.residency.value}, not {move.to.value}"
    _fail(card, name, done.residency, f"it could not be brought to be {move.to.value}: {why}")
    if move.to is Residency.AWAKE:
        waiting = [each.ask for each in card.waiters.values() if each.ask.resident == name]
        card.deny(waiting, Denial.MOVE_FAILED, card.seats[name].why, out)


def reported(card: CardState, inventory: Inventory, out: list[Effect], *, asked: bool) -> None:
    """Takes a host's word for what is true. Holders of what is gone lose their leases."""
    if inventory.card != card.spec.card:
        if asked:
            uninspected(card, f"it answers for {inventory.card}")
        return
    if asked:
        card.inspecting, card.doubt, card.doubts = None, None, 0
        for name, seat in card.seats.items():
            card.seats[name] = replace(seat, seen=True)
    for found in inventory.residents:
        seat = card.seats.get(found.resident)
        if seat is None:
            continue
        if card.moving(found.resident) or (
            not asked and card.at - seat.since < SETTLING and _differs(seat, found)
        ):
            doubt(card, card.at)
        else:
            _found(card, found, seat, out, asked=asked)
    _measured(card, inventory.free_mib, inventory.total_mib)


def uninspected(card: CardState, why: str) -> None:
    """Nobody could look: later, then."""
    card.inspecting = None
    card.doubts += 1
    card.mismatch = f"its host cannot be asked what is true: {why}"
    card.doubt = card.at + pause(card.doubts)


def doubt(card: CardState, when: datetime) -> None:
    """The host is to be asked by then."""
    card.doubt = when if card.doubt is None else min(card.doubt, when)


def _differs(seat: Seat, found: Found) -> bool:
    another = seat.generation and found.generation and seat.generation != found.generation
    return seat.residency is not found.residency or bool(another)


def _found(card: CardState, found: Found, seat: Seat, out: list[Effect], *, asked: bool) -> None:
    if not _differs(seat, found):
        why = "" if asked and seat.retry_at <= card.at else seat.why
        if found.residency is Residency.UNKNOWN:
            why = found.why or seat.why or "its host cannot tell where it is"
        generation = found.generation or seat.generation
        card.seats[found.resident] = replace(seat, generation=generation, why=why)
        return
    why = found.why or f"it was {seat.residency.value}, and is {found.residency.value} by itself"
    if seat.residency is Residency.AWAKE:
        holds = [held for held in card.leases.values() if held.ask.resident == found.resident]
        card.lose(holds, f"{found.resident} is gone: {why}", out)
        _fail(card, found.resident, found.residency, why, lost=True)
        seat = card.seats[found.resident]
    else:
        seat = replace(seat, residency=found.residency, since=card.at, used=card.at)
    ill = found.residency is Residency.UNKNOWN or seat.failures > 1
    card.seats[found.resident] = replace(
        seat, generation=found.generation, seen=asked, why=why if ill else ""
    )


def _failures(card: CardState, seat: Seat) -> int:
    """Its failures in a row; forgiven where it was awake for long enough."""
    return 0 if seat.residency is Residency.AWAKE and card.at - seat.since >= CALM else seat.failures


def _fail(card: CardState, name: str, residency: Residency, why: str, *, lost: bool = False) -> None:
    """One that was lost for the first time may come back at once; anything else waits."""
    before = card.seats.get(name, Seat())
    failures = _failures(card, before) + 1
    wait = pause(failures - 1) if lost and failures > 1 else timedelta(0) if lost else pause(failures)
    card.seats[name] = Seat(
        residency=residency,
        since=card.at,
        used=card.at,
        why=why,
        failures=failures,
        retry_at=card.at + wait,
    )
    if residency is Residency.UNKNOWN:
        doubt(card, card.at + wait)


def _measured(card: CardState, free_mib: int | None, total_mib: int | None) -> None:
    """Compares what was measured with what is counted."""
    card.measured_free_mib = free_mib
    counted = budget(card) - standing(card)
    card.mismatch = ""
    if total_mib is not None and total_mib < card.spec.vram_mib:
        card.mismatch = f"its host measures {total_mib} MiB in all, {card.spec.vram_mib} are configured"
    elif free_mib is not None and free_mib < counted and card.move is None:
        card.mismatch = f"its host measures {free_mib} MiB free, {counted} are counted"


# --- what is next


def next_move(card: CardState, wanted: Wanted | None) -> Wanted | None:
    """The move that is due: back below what fits, mend, bring up what stays, serve who waits, let the idle rest."""
    holders = card.holders()
    idle = [
        each
        for each in sorted(card.residents.values(), key=lambda each: (card.seats[each.name].used, each.name))
        if leaves(card, each) and not holders.get(each.name) and card.seats[each.name].retry_at <= card.at
    ]
    resting = [each for each in idle if card.seats[each.name].residency is Residency.AWAKE]
    return (
        _over(card, resting)
        or _mend(card, idle)
        or _bring_up(card)
        or wanted
        or next(
            (Wanted(resident=each, to=each.rest) for each in resting if rests_at(card, each) <= card.at), None
        )
    )


def rests_at(card: CardState, resident: Resident) -> datetime:
    """From when on it rests unless somebody holds it."""
    if card.posture is Posture.ASLEEP or resident not in card.spec.residents:
        return card.at
    return card.seats[resident.name].used + resident.idle


def begin(card: CardState, wanted: Wanted, out: list[Effect]) -> None:
    """Starts a move."""
    card.number += 1
    origin = card.seats[wanted.resident.name].residency
    card.move = Move(
        resident=wanted.resident, origin=origin, to=wanted.to, number=card.number, started=card.at
    )
    out.append(move_effect(card, card.move))


def move_effect(card: CardState, move: Move) -> StartMove:
    """What the host is asked for a move."""
    return StartMove(
        ask=MoveAsk(
            card=card.spec.card,
            resident=move.resident,
            to=move.to,
            number=move.number,
            vram_mib=card.spec.vram_mib,
            before_mib=standing(card, without=move.resident.name),
        )
    )


def inspect(card: CardState, out: list[Effect]) -> None:
    """Asks the host what is true."""
    card.inspecting = card.at
    out.append(inspect_effect(card))


def inspect_effect(card: CardState) -> Inspect:
    """What the host is asked to look at: everybody who is, or may come to be, on the card."""
    return Inspect(ask=InspectAsk(spec=replace(card.spec, residents=tuple(card.residents.values()))))


def slow_at(move: Move) -> datetime:
    """From when on the move takes too long."""
    return move.started + move.resident.start_timeout + SLOW


def problem(card: CardState) -> str:
    """What does not fit together, in a line."""
    for name, seat in card.seats.items():
        if seat.why:
            return f"{name}: {seat.why}"
    if card.mismatch:
        return card.mismatch
    move = card.move
    if move is not None and slow_at(move) <= card.at:
        since = card.clock(move.started)
        return f"{move.resident.name} is on its way since {since:%H:%M:%S} UTC: does its host's worker run?"
    if card.inspecting is not None and card.inspecting + SLOW <= card.at:
        since = card.clock(card.inspecting)
        return f"its host has been asked what is true since {since:%H:%M:%S} UTC: does its worker run?"
    over = taken(card) - budget(card)
    return f"{over} MiB more are taken than there are" if over > 0 and card.move is None else ""


def _over(card: CardState, resting: Iterable[Resident]) -> Wanted | None:
    if taken(card) <= budget(card):
        return None
    return next((Wanted(resident=each, to=each.rest) for each in resting), None)


def _mend(card: CardState, idle: Iterable[Resident]) -> Wanted | None:
    for each in idle:
        seat = card.seats[each.name]
        if seat.residency is Residency.UNKNOWN and seat.seen:
            return Wanted(resident=each, to=each.rest)
    return None


def _bring_up(card: CardState) -> Wanted | None:
    for each in card.spec.residents:
        seat = card.seats[each.name]
        there = seat.residency is Residency.AWAKE or (seat.residency is Residency.UNKNOWN and not seat.seen)
        if stays(card, each) and not there and seat.retry_at <= card.at and may_come(card, each):
            return Wanted(resident=each, to=Residency.AWAKE)
    return None
