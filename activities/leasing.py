"""What a lease's workflow asks for: looking, searching, ordering, giving back. Each of it may happen twice.

All but the order, which is sent once: whatever became of one that was lost is found out by its label.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from temporalio import activity

from activities.attempts import heartbeats
from activities.contracts.boxes import BoxPhase, BoxView
from activities.contracts.lease_views import (
    Agreed,
    Creation,
    EndCode,
    Ending,
    LeaseNote,
    LeaseOpened,
    LeaseSight,
    LeaseView,
    OrderNote,
    Presence,
)
from activities.contracts.leases import Instance, InstanceState, LeaseState
from activities.errors import (
    AitherError,
    MarketBusy,
    MarketError,
    MarketRefused,
    MarketUnknown,
    OfferGone,
    StoreUnavailable,
    to_application_error,
)
from activities.leasing_ports import BoxDesk, Guard, LeaseStore, Quotes
from activities.market_ports import Marketplace

CHOICES = 8
"""Offers of a search that are kept: they are gone soon, and a new search is cheap."""
NOBODY = "workflow"

_CAME_FROM: dict[LeaseState, tuple[LeaseState, ...]] = {
    LeaseState.APPROVED: (LeaseState.ASKED, LeaseState.DESTROYING),
    LeaseState.JOINING: (LeaseState.BOOTING,),
    LeaseState.SERVING: (LeaseState.BOOTING, LeaseState.JOINING),
    LeaseState.DRAINING: (LeaseState.SERVING,),
    LeaseState.DESTROYING: (
        LeaseState.BOOTING,
        LeaseState.JOINING,
        LeaseState.SERVING,
        LeaseState.DRAINING,
    ),
}
_ENDS_FROM = (LeaseState.ASKED, LeaseState.APPROVED, LeaseState.DESTROYING)
"""In none of these may there be a box that has not been verified gone."""


@asynccontextmanager
async def alive() -> AsyncGenerator[None]:
    """Heartbeats while the block runs, however long the market takes, and Temporal's word for its failure."""
    try:
        async with heartbeats():
            yield
    except AitherError as error:
        raise to_application_error(error) from error


class LeaseActivities:
    """The activities of `burst/<lease>`, on the queue of the leases' workflows."""

    def __init__(
        self, store: LeaseStore, market: Marketplace, desk: BoxDesk, quotes: Quotes, guard: Guard
    ) -> None:
        self._store = store
        self._market = market
        self._desk = desk
        self._quotes = quotes
        self._guard = guard

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """What a worker registers."""
        return (
            self.open_lease,
            self.look_at_lease,
            self.quote_lease,
            self.rent_box,
            self.void_order,
            self.move_lease,
            self.agree_lease,
            self.end_lease,
            self.destroy_box,
        )

    @activity.defn(name="open-lease")
    async def open_lease(self, lease_id: str) -> LeaseOpened:
        """What the lease goes by, and who asked for it."""
        async with alive():
            lease = await self._store.lease(lease_id)
        return LeaseOpened(lease_id=lease_id, plan=lease.plan, asked_by=lease.asked_by)

    @activity.defn(name="look-at-lease")
    async def look_at_lease(self, lease_id: str) -> LeaseSight:
        """The lease by its row, by the market and by the box's own word; books what it has cost."""
        async with alive():
            lease = await self._store.watch(lease_id)
            presence, instance = await self._presence(lease)
            if instance is not None:
                if lease.creation is Creation.INTENDED:
                    await self._store.made(lease_id, lease.attempt, instance.id)
                await self._store.seen(lease_id, lease.attempt, instance)
                await self._desk.attend(lease, instance)
            elif presence is Presence.ABSENT:
                await self._store.unseen(lease_id, lease.attempt)
            box = await self._desk.box(lease_id, lease.attempt) if lease.attempt else None
            return sight_of(await self._store.lease(lease_id), presence, instance, box)

    @activity.defn(name="quote-lease")
    async def quote_lease(self, lease_id: str) -> bool:
        """Searches for offers and keeps the best; False where the market could not be asked now."""
        async with alive():
            lease = await self._store.lease(lease_id)
            try:
                ranking = await self._quotes.quote(lease)
            except MarketRefused as error:
                await self._store.want_end(lease_id, EndCode.MARKET_REFUSED, error.message, NOBODY)
                return True
            except MarketError:
                return False
            found = f"{len(ranking.ranked)} offers will do, {len(ranking.dropped)} will not"
            await self._store.quoted(lease_id, ranking.ranked[:CHOICES], found)
        return True

    @activity.defn(name="rent-box")
    async def rent_box(self, lease_id: str) -> None:
        """Writes the order down, and sends it. Never retried: what becomes of a lost order is looked up."""
        async with alive():
            lease = await self._store.intend(lease_id, self._guard)
            if lease is not None:
                await self._order(lease)

    async def _order(self, lease: LeaseView) -> None:
        assert lease.offer is not None
        lease_id, attempt = lease.id, lease.attempt
        try:
            order = await self._desk.order(lease)
            instance = await self._market.create(lease.offer.offer.id, order)
        except (OfferGone, MarketBusy) as error:
            await self._store.void(lease_id, attempt, error.message, keep=isinstance(error, MarketBusy))
        except (MarketUnknown, StoreUnavailable):
            # It may have happened. The look that follows asks for the label before anything else is ordered.
            return
        except MarketRefused as error:
            await self._store.want_end(lease_id, EndCode.MARKET_REFUSED, error.message, NOBODY)
            await self._store.void(lease_id, attempt, error.message)
        except MarketError:
            return
        except AitherError as error:
            await self._store.want_end(lease_id, EndCode.BOX_FAILED, error.message, NOBODY)
            await self._store.void(lease_id, attempt, error.message)
        else:
            await self._store.made(lease_id, attempt, instance)

    @activity.defn(name="void-order")
    async def void_order(self, note: OrderNote) -> None:
        """The order is known to have come to nothing."""
        async with alive():
            await self._store.void(note.lease_id, note.attempt, note.why)

    @activity.defn(name="move-lease")
    async def move_lease(self, note: LeaseNote) -> None:
        """Has the lease be in its next state. The pool knows of it before the market does."""
        async with alive():
            lease = await self._store.lease(note.lease_id)
            if note.to is LeaseState.DRAINING:
                await self._desk.drain(lease)
            elif note.to is LeaseState.DESTROYING or (note.to.ended and lease.attempt):
                await self._desk.dismiss(lease)
            came_from = _ENDS_FROM if note.to.ended else _CAME_FROM[note.to]
            await self._store.move(note, came_from)

    @activity.defn(name="agree-lease")
    async def agree_lease(self, agreed: Agreed) -> None:
        """Somebody agreed."""
        async with alive():
            await self._store.agree(agreed.lease_id, agreed.approval_id, agreed.by)

    @activity.defn(name="end-lease")
    async def end_lease(self, ending: Ending) -> None:
        """Has the lease end; the first reason stays."""
        async with alive():
            await self._store.want_end(ending.lease_id, ending.code, ending.why, NOBODY)

    @activity.defn(name="destroy-box")
    async def destroy_box(self, lease_id: str) -> bool:
        """Has the market end the attempt's box, by whatever id it has there; False where that is not known.

        It is gone when a look says so, not when this returns.
        """
        async with alive():
            lease = await self._store.lease(lease_id)
            if lease.state is not LeaseState.DESTROYING:
                return True
            return await self._destroy(lease)

    async def _destroy(self, lease: LeaseView) -> bool:
        known = {lease.instance} if lease.instance else set[str]()
        sure = True
        try:
            known |= {each.id for each in await self._labelled(lease)}
        except MarketError:
            sure = False
        for instance in sorted(known):
            try:
                await self._market.destroy(instance)
            except MarketError as error:
                sure = False
                await self._store.record(
                    lease.id, NOBODY, "destroy_failed", f"instance {instance}: {error.message}"
                )
        return sure

    async def _presence(self, lease: LeaseView) -> tuple[Presence, Instance | None]:
        """What the market says of the attempt's box. Whatever is not certain is UNKNOWN."""
        if lease.creation not in {Creation.INTENDED, Creation.MADE} or not lease.state.may_have_a_box:
            return Presence.UNKNOWN, None
        try:
            if lease.instance is not None:
                instance = await self._market.get(lease.instance)
                if instance is not None:
                    return Presence.PRESENT, instance
            found = await self._labelled(lease)
        except MarketError:
            return Presence.UNKNOWN, None
        if lease.instance is None and found:
            return Presence.PRESENT, found[0]
        if found and lease.state is LeaseState.DESTROYING:
            # An order that was carried out twice: none of them may stay.
            return Presence.PRESENT, None
        return Presence.ABSENT, None

    async def _labelled(self, lease: LeaseView) -> Sequence[Instance]:
        """All instances that carry the attempt's label, of which there should be one."""
        if lease.label is None:
            return []
        found = [each for each in await self._market.list(lease.label) if each.label == lease.label]
        return sorted(found, key=lambda each: (len(each.id), each.id))


def sight_of(
    lease: LeaseView, presence: Presence, instance: Instance | None, box: BoxView | None
) -> LeaseSight:
    """What the next step is decided on."""
    in_state_s = lease.age_s(lease.state_at)
    billed_to = lease.billed_to or lease.intended_at
    ahead_usd = 0.0
    if lease.creation is Creation.MADE and not lease.state.ended:
        ahead_usd = lease.usd_per_hour * lease.age_s(billed_to) / 3600
    joined = lease.joined_at is not None
    return LeaseSight(
        lease_id=lease.id,
        state=lease.state,
        attempt=lease.attempt,
        boxes=lease.boxes,
        quotes=lease.quotes,
        choices=len(lease.choices),
        creation=lease.creation,
        presence=presence,
        box_state=instance.state if instance else _box_state(lease.box_state),
        failed_boot=instance is not None and instance.failed_boot,
        problem=instance.status_message[:200] if instance else "",
        box_problem=(box.report.detail[:200] or "the box failed")
        if box and box.phase is BoxPhase.FAILED
        else "",
        joined=joined,
        ready=joined and box is not None and box.phase is BoxPhase.SERVING,
        ending=lease.ending_code,
        agreed=lease.approved_by is not None,
        calls=lease.calls,
        in_state_s=in_state_s,
        since_order_s=lease.age_s(lease.intended_at),
        unseen_s=None if lease.unseen_since is None else lease.age_s(lease.unseen_since),
        joined_s=lease.age_s(lease.joined_at),
        silent_s=min(lease.age_s(lease.heard_at), lease.age_s(lease.watched_since)) if joined else 0.0,
        idle_s=min(lease.age_s(lease.busy_at), in_state_s),
        usd_per_hour=lease.usd_per_hour if lease.creation is Creation.MADE else 0.0,
        spent_usd=lease.spent_usd + ahead_usd,
        quote_usd_per_hour=lease.choices[0].real_usd_per_hour if lease.choices else 0.0,
    )


def _box_state(written: str) -> InstanceState | None:
    return InstanceState(written) if written in set(InstanceState) else None
