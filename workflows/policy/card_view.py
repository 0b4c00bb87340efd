"""A card as it tells of itself."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from activities.contracts.cards import CardView, LeaseView, ResidentView
from workflows.policy.card_room import budget, taken
from workflows.policy.card_state import CardState, Held, Seat, Waiter
from workflows.policy.card_waiting import in_order

SHOWN = 50
"""So many leases, and as many waiters, stand in a view."""


def view(card: CardState) -> CardView:
    """The card, by its state: the leases by their age, the waiters in the order in which they are looked at."""
    waiters = in_order(card)
    return CardView(
        card=card.spec.card,
        posture=card.posture,
        vram_mib=card.spec.vram_mib,
        reserve_mib=card.spec.reserve_mib,
        free_mib=max(0, budget(card) - taken(card)),
        measured_free_mib=card.measured_free_mib,
        residents=_residents(card),
        leases=tuple(_lease(card, held) for held in _first(card.leases.values())),
        waiters=tuple(_lease(card, waiter) for waiter in waiters[:SHOWN]),
        granted=card.granted,
        problem=card.problem,
        looking=card.inspecting is not None or (card.doubt is not None and card.doubt <= card.at),
        revision=card.revision,
        at=card.heard,
        more=max(0, len(card.leases) - SHOWN) + max(0, len(waiters) - SHOWN),
    )


def line(card: CardState) -> str:
    """The card in a line."""
    awake = ", ".join(name for name in card.seats if card.shareable(name)) or "nobody"
    free = max(0, budget(card) - taken(card))
    parts = [
        f"{card.posture.value}: {awake} awake, {free} MiB free",
        f"{len(card.leases)} held, {len(card.waiters)} waiting, {card.granted} granted",
    ]
    if card.move is not None:
        parts.append(f"{card.move.resident.name} is going to be {card.move.to.value}")
    return "; ".join([*parts, card.problem] if card.problem else parts)


def _first(helds: Iterable[Held]) -> Iterable[Held]:
    return islice(helds, SHOWN)


def _residents(card: CardState) -> tuple[ResidentView, ...]:
    holders = card.holders()
    views: list[ResidentView] = []
    for name, each in card.residents.items():
        seat = card.seats.get(name, Seat())
        views.append(
            ResidentView(
                name=name,
                residency=seat.residency,
                mib=each.mib,
                asleep_mib=each.asleep_mib,
                on_demand=each.on_demand,
                moving_to=card.move.to if card.move is not None and card.moving(name) else None,
                holders=holders.get(name, 0),
                why=seat.why,
            )
        )
    return tuple(views)


def _lease(card: CardState, of: Held | Waiter) -> LeaseView:
    ask = of.ask
    until: datetime | None = card.clock(of.expires_at) if isinstance(of, Held) else None
    return LeaseView(
        lease=ask.lease,
        holder=ask.holder,
        what=ask.what,
        priority=ask.priority,
        resident=ask.resident,
        mib=ask.mib,
        since=card.clock(of.since),
        token=of.token if isinstance(of, Held) else None,
        expires_at=until,
        tenant_id=ask.tenant_id,
    )
