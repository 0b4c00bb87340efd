"""Who of those that wait for a card gets what, and which move the first of the others needs.

Waiters stand in order of their effective priority, then of arrival. Each that cannot have its hold now is given
its place in an outlook: the card as it will be once those ahead of it have had theirs. Whoever comes after may
take room only where it is free both now and in that outlook, so nobody is pushed back by a smaller one.

Holders of an awake resident let others in, which is what collates calls, unless that keeps out somebody more
urgent. After `hog` the first of those that are kept out has a turn: nobody who came later goes before it for that
resident, however urgent. One turn at a time, so that a queue of background jobs does not go before everybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from activities.contracts.cards import Residency, Resident
from workflows.policy.card_room import budget, claim_ahead, leaves, taken
from workflows.policy.card_state import MAX_HELD, CardState, Effect, Waiter

LOOK_AHEAD = 64
"""So many waiters that need room are given a place in the outlook; those behind them wait for theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A move that somebody waits for."""

    resident: Resident
    to: Residency


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What serving came to. `ages_at`: when a waiter is urgent enough for a room that it may not clear yet."""

    wanted: Wanted | None = None
    ages_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Victim:
    """What may make room: an idle resident at once, a held one or a job (`resident` None) once it is let go."""

    name: str
    mib: int
    resident: Resident | None
    idle: bool


@dataclass(slots=True)
class _Outlook:
    """`now` is taken now, `ahead` once all who have a place have it. `gates` say who keeps a resident's door."""

    now: int
    ahead: int
    claims: dict[str, int]
    awake: set[str]
    jobs: dict[str, int]
    holders: dict[str, int]
    kept: set[str] = field(default_factory=set[str])
    gates: dict[str, list[Waiter]] = field(default_factory=dict[str, list[Waiter]])
    wanted: Wanted | None = None


def urgency(card: CardState, waiter: Waiter) -> int:
    """Its priority, one step more urgent for each `aging` that it has waited; 1 is the most urgent."""
    return max(1, waiter.ask.priority - _steps(card, waiter))


def ages_at(card: CardState, waiter: Waiter) -> datetime | None:
    """When it becomes more urgent next; None where it never does."""
    if card.spec.aging.total_seconds() <= 0 or urgency(card, waiter) == 1:
        return None
    return waiter.since + card.spec.aging * (_steps(card, waiter) + 1)


def in_order(card: CardState) -> list[Waiter]:
    """The waiters, first come the most urgent, then the earliest; but nobody before the one whose turn it is."""
    ranks = {lease: urgency(card, waiter) for lease, waiter in card.waiters.items()}
    for due in _due(card):
        rank = ranks[due.ask.lease]
        for lease, waiter in card.waiters.items():
            if waiter.ask.resident in due.before and waiter.number > due.number:
                ranks[lease] = max(rank, ranks[lease])
    return sorted(card.waiters.values(), key=lambda waiter: (ranks[waiter.ask.lease], waiter.number))


def take_turns(card: CardState) -> None:
    """Gives the turn to the first waiter that held residents have kept out for `hog`, and to no other."""
    late = [each for each in card.waiters.values() if card.at - each.since >= card.spec.hog]
    movers = [each for each in late if each.ask.resident is None or not card.shareable(each.ask.resident)]
    movers.sort(key=lambda waiter: (urgency(card, waiter), waiter.number))
    for waiter in movers[:LOOK_AHEAD]:
        before = tuple(dict.fromkeys((*waiter.before, *_kept_by(card, waiter))))
        if before:
            for other in _due(card):
                card.waiters[other.ask.lease] = replace(other, before=())
            card.waiters[waiter.ask.lease] = replace(waiter, before=before)
            return


def serve(card: CardState, out: list[Effect]) -> Served:
    """Grants what may be granted now; says what move the first of the others needs."""
    if not card.waiters:
        return Served()
    take_turns(card)
    order = in_order(card)
    look = _outlook(card)
    placed = 0
    ages: list[datetime] = []
    for waiter in order:
        if len(card.leases) >= MAX_HELD:
            break
        name = waiter.ask.resident
        if name is not None and card.shareable(name):
            if _let_in(card, look, waiter, name):
                look.holders[name] = look.holders.get(name, 0) + 1
                look.kept.add(name)
                card.grant(waiter, out)
        elif name is None and _fits(card, look, waiter.ask.mib):
            look.now += waiter.ask.mib
            look.ahead += waiter.ask.mib
            card.grant(waiter, out)
        elif placed < LOOK_AHEAD and (name is None or name not in look.kept):
            placed += 1
            if not _place(card, look, waiter) and (later := ages_at(card, waiter)):
                ages.append(later)
    return Served(wanted=look.wanted, ages_at=min(ages, default=None))


def _due(card: CardState) -> list[Waiter]:
    return [waiter for waiter in card.waiters.values() if waiter.before]


def _kept_by(card: CardState, waiter: Waiter) -> list[str]:
    """The residents whose holders have kept it out for `hog`."""
    look = _outlook(card)
    _place(card, look, waiter)
    return [
        name
        for name in look.gates
        if look.holders.get(name) and card.at - max(waiter.since, card.seats[name].since) >= card.spec.hog
    ]


def _steps(card: CardState, waiter: Waiter) -> int:
    return (card.at - waiter.since) // card.spec.aging if card.spec.aging.total_seconds() > 0 else 0


def _outlook(card: CardState) -> _Outlook:
    residents = card.residents
    claims = {name: claim_ahead(card, each) for name, each in residents.items()}
    jobs = {lease: held.ask.mib for lease, held in card.leases.items() if held.ask.resident is None}
    return _Outlook(
        now=taken(card),
        ahead=sum(claims.values()) + sum(jobs.values()),
        claims=claims,
        awake={name for name in residents if card.shareable(name)},
        jobs=jobs,
        holders=card.holders(),
    )


def _fits(card: CardState, look: _Outlook, mib: int) -> bool:
    return max(look.now, look.ahead) + mib <= budget(card)


def _let_in(card: CardState, look: _Outlook, waiter: Waiter, name: str) -> bool:
    """Whether nobody that the resident keeps out is more urgent, or has the turn before it."""
    if look.wanted is not None and look.wanted.resident.name == name:
        return False
    mine = urgency(card, waiter)
    return not any(
        urgency(card, each) < mine or (name in each.before and each.number < waiter.number)
        for each in look.gates.get(name, ())
    )


def _place(card: CardState, look: _Outlook, waiter: Waiter) -> bool:
    """Gives a waiter its place in the outlook; False where there is none for it yet."""
    name = waiter.ask.resident
    resident = card.residents[name] if name is not None else None
    need = waiter.ask.mib if resident is None else max(0, resident.mib - look.claims[resident.name])
    victims = _clear(card, look, urgency(card, waiter), look.ahead + need - budget(card))
    if victims is None:
        return False
    for victim in victims:
        look.ahead -= victim.mib
        look.jobs.pop(victim.name, None)
        if victim.resident is not None:
            look.awake.discard(victim.name)
            look.claims[victim.name] -= victim.mib
            look.gates.setdefault(victim.name, []).append(waiter)
    look.ahead += need
    if resident is not None:
        look.claims[resident.name] += need
        look.kept.add(resident.name)
    if look.wanted is None and card.move is None:
        look.wanted = _move_for(card, look, resident, need, victims)
        if resident is not None and look.wanted and look.wanted.resident is resident:
            look.now += need
    return True


def _move_for(
    card: CardState, look: _Outlook, resident: Resident | None, need: int, victims: list[_Victim]
) -> Wanted | None:
    """The next move towards it: nobody is sent away before all that is in its way can be."""
    if victims:
        first = victims[0].resident
        ready = all(victim.idle for victim in victims)
        return Wanted(resident=first, to=first.rest) if ready and first else None
    if resident is None or look.now + need > budget(card):
        return None
    seat = card.seats[resident.name]
    if seat.residency is Residency.UNKNOWN or seat.retry_at > card.at:
        return None
    return Wanted(resident=resident, to=Residency.AWAKE)


def _clear(card: CardState, look: _Outlook, mine: int, short: int) -> list[_Victim] | None:
    """What has to go for `short` MiB, only as much as is needed; None where that is not to be had."""
    chosen: list[_Victim] = []
    if short > 0:
        for victim in _victims(card, look, mine):
            chosen.append(victim)
            short -= victim.mib
            if short <= 0:
                break
        else:
            return None
    for victim in tuple(chosen):
        if short + victim.mib <= 0:
            chosen.remove(victim)
            short += victim.mib
    return chosen


def _victims(card: CardState, look: _Outlook, mine: int) -> Iterator[_Victim]:
    """What may be cleared for somebody of that urgency: first the idle, the longest unused before others."""
    idle: list[tuple[datetime, _Victim]] = []
    held: list[tuple[datetime, _Victim]] = []
    for name, each in card.residents.items():
        seat = card.seats[name]
        mib = look.claims[name] - each.footprint(each.rest)
        if name not in look.awake or name in look.kept or not leaves(card, each) or mib <= 0:
            continue
        if each.priority < mine or seat.retry_at > card.at:
            continue
        is_idle = not look.holders.get(name)
        victim = _Victim(name, mib, each, is_idle)
        (idle if is_idle else held).append((seat.used if is_idle else seat.since, victim))
    yield from _sorted(idle)
    held += [(card.leases[lease].since, _Victim(lease, mib, None, False)) for lease, mib in _jobs(card, look)]
    yield from _sorted(held)


def _jobs(card: CardState, look: _Outlook) -> Iterator[tuple[str, int]]:
    return ((lease, mib) for lease, mib in look.jobs.items() if lease in card.leases)


def _sorted(victims: list[tuple[datetime, _Victim]]) -> Iterator[_Victim]:
    return (victim for _, victim in sorted(victims, key=lambda each: (each[0], each[1].name)))
