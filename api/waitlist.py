"""What waits, of one tenant or of all: for a slot of a pool, or for room on a card. And how it is cancelled."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from activities.contracts.turn import TurnStatus
from api.cards import Cards, Deck
from api.problems import Problem
from api.queueing import TURN, Asker, Line, Queueing, Waiter, call_of, ordered, workflow_of
from api.saturation import AWAY
from api.scheduler_views import CancelledCall, MissingPart, WaitingCall
from api.scheduling import Scheduling, Snapshot
from api.turns import Turns
from infra.ids import is_id
from infra.postgres.keys import Caller, Role

FRESH_S = 1.0
"""How long one look serves all who may see the same."""
MOST_KEPT = 200
CARD_KIND = "card"
NO_CALL = "nothing of that id waits; GET /v1/scheduler/queue lists what does"

NO_LINE = MissingPart(part="temporal", missing="what waits for pools, or a part of it")
OLD_CARDS = MissingPart(
    part="temporal", missing="who waits for cards now; listed is who did when they last told"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waitlist:
    """What waits, the most urgent first. Not `whole`: there may be more."""

    calls: tuple[WaitingCall, ...]
    whole: bool
    degraded: tuple[MissingPart, ...]


@dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = -FRESH_S
    list: Waitlist | None = None


class Waiting:
    """Looks at what waits, and cancels it."""

    def __init__(self, scheduling: Scheduling, queueing: Queueing, cards: Cards, turns: Turns) -> None:
        self._scheduling = scheduling
        self._queueing = queueing
        self._cards = cards
        self._turns = turns
        self._kept: dict[str | None, _Kept] = {}

    async def look(self, caller: Caller) -> Waitlist:
        """What waits of the caller's tenant; of all tenants for an operator."""
        tenant = None if caller.role is Role.OPERATOR else caller.tenant_id
        if len(self._kept) > MOST_KEPT:
            self._kept = {who: kept for who, kept in self._kept.items() if kept.lock.locked()}
        kept = self._kept.setdefault(tenant, _Kept())
        async with kept.lock:
            if kept.list is None or time.monotonic() - kept.at >= FRESH_S:
                kept.list, kept.at = await self._gathered(tenant), time.monotonic()
            return kept.list

    async def cancel(self, caller: Caller, call: str) -> CancelledCall:
        """Cancels what waits under this id; a turn exactly as a turn's cancel does.

        An operator may cancel anybody's. Raises a `Problem`: 404 where there is none that the caller may see,
        409 where it does not wait (any more), 503 where Temporal does not answer.
        """
        found = await self._found(call)
        if found is None or not _may(caller, found.tenant):
            if is_id("turn", call):
                # Raises that there is no such turn, unless it is one that waits for nothing.
                await self._turns.get(caller, call)
                raise _waits_not(call)
            raise Problem("call_not_found", NO_CALL)
        if not found.waits and not await self._waits_for_card(call):
            raise _waits_not(call)
        if found.kind == TURN and found.tenant is not None:
            view = await self._turns.cancel(replace(caller, tenant_id=found.tenant), call)
            ended = TurnStatus(view["status"]).ended
            return CancelledCall(id=call, kind=TURN, status="cancelled" if ended else "stopping")
        try:
            await self._queueing.cancel(call)
        except AWAY:
            raise _away() from None
        return CancelledCall(id=call, kind=found.kind, status="stopping")

    async def _found(self, call: str) -> Asker | None:
        snapshot = await self._scheduling.look()
        try:
            return await self._queueing.find(call, {pool.name for pool in snapshot.pools})
        except AWAY:
            raise _away() from None

    async def _waits_for_card(self, call: str) -> bool:
        deck = await self._cards.all()
        return any(
            waiter.holder == workflow_of(call)
            for seen in deck.cards
            if seen.view
            for waiter in seen.view.waiters
        )

    async def _gathered(self, tenant: str | None) -> Waitlist:
        snapshot, deck = await asyncio.gather(self._scheduling.look(), self._cards.all())
        pools = {pool.name for pool in snapshot.pools}
        line: Line = await self._queueing.line(pools, tenant=tenant, skip=snapshot.running())
        now = datetime.now(UTC)
        calls = [_for_pool(waiter, snapshot, now) for waiter in ordered(line.waiters)]
        calls += _for_cards(deck, tenant, now)
        degraded = [NO_LINE] if line.away else []
        if any(seen.stale and seen.view and seen.view.waiters for seen in deck.cards):
            degraded.append(OLD_CARDS)
        return Waitlist(
            calls=tuple(sorted(calls, key=lambda call: (call.priority, call.since, call.id))),
            whole=line.whole and not any(seen.view.more for seen in deck.cards if seen.view),
            degraded=tuple(degraded),
        )


def _for_pool(waiter: Waiter, snapshot: Snapshot, now: datetime) -> WaitingCall:
    pool = snapshot.pool(waiter.pool)
    counted = pool.backlog_by_priority if pool else None
    return WaitingCall(
        id=waiter.call,
        kind=waiter.kind,
        pool=waiter.pool,
        card=None,
        priority=waiter.priority,
        tenant=waiter.tenant,
        since=waiter.since,
        waiting_s=_seconds(waiter.since, now),
        more_urgent=None
        if counted is None
        else sum(calls for priority, calls in counted.items() if priority < waiter.priority),
    )


def _for_cards(deck: Deck, tenant: str | None, now: datetime) -> Iterator[WaitingCall]:
    for seen in deck.cards:
        waiters = seen.view.waiters if seen.view else ()
        for waiter in waiters:
            if tenant is None or waiter.tenant_id == tenant:
                yield WaitingCall(
                    id=call_of(waiter.holder),
                    kind=CARD_KIND,
                    pool=None,
                    card=seen.card,
                    priority=waiter.priority,
                    tenant=waiter.tenant_id or None,
                    since=waiter.since,
                    waiting_s=_seconds(waiter.since, now),
                    more_urgent=sum(other.priority < waiter.priority for other in waiters),
                )


def _seconds(since: datetime, now: datetime) -> float:
    return round(max(0.0, (now - since).total_seconds()), 3)


def _may(caller: Caller, tenant: str | None) -> bool:
    return caller.role is Role.OPERATOR or tenant == caller.tenant_id


def _waits_not(call: str) -> Problem:
    how = f"; POST /v1/turns/{call}/cancel stops it wherever it is" if is_id("turn", call) else ""
    return Problem("not_waiting", f"{call} does not wait any more{how}")


def _away() -> Problem:
    return Problem(
        "scheduler_unavailable",
        "Temporal cannot be reached, so nobody can tell what waits; a turn's own cancel works without it",
        headers={"Retry-After": "2"},
    )
