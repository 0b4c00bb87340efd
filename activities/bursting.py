"""The check of all leases: what it sees, and what it has done."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from temporalio import activity

from activities.contracts.burst import PoolPressure
from activities.contracts.bursting import Burst, BurstActs, BurstSight
from activities.contracts.lease_views import LeaseView
from activities.leasing import alive
from activities.leasing_ports import LeaseRuns, LeaseStore

REMEMBERED = timedelta(hours=6)
"""For how long an ended lease still speaks for a rest."""


class Pressures(Protocol):
    """How full pools are."""

    async def pressure(self, pool: str) -> PoolPressure | None:
        """The pool as it is now; None where nobody can tell. Never raises for that."""
        ...


class RecentLeases(LeaseStore, Protocol):
    """The store, with leases that have ended lately."""

    async def recent(self, within: timedelta) -> Sequence[LeaseView]:
        """The open leases, and those that ended within that time."""
        ...


class BurstActivities:
    """`look-at-burst` and `act-on-burst`."""

    def __init__(self, store: RecentLeases, runs: LeaseRuns, pressures: Pressures, burst: Burst) -> None:
        self._store = store
        self._runs = runs
        self._pressures = pressures
        self._burst = burst

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """What a worker registers."""
        return (self.look_at_burst, self.act_on_burst)

    @activity.defn(name="look-at-burst")
    async def look_at_burst(self) -> BurstSight:
        """Money, leases, and how full the pools are that boxes may be rented for."""
        async with alive():
            found = [await self._pressures.pressure(rules.pool) for rules in self._burst.rules]
            return BurstSight(
                burst=self._burst,
                spending=await self._store.spending(),
                leases=tuple(await self._store.recent(REMEMBERED)),
                pressures=tuple(each for each in found if each is not None),
            )

    @activity.defn(name="act-on-burst")
    async def act_on_burst(self, acts: BurstActs) -> None:
        """Ends and asks for leases. Safe to run twice."""
        async with alive():
            for end in acts.ends:
                await self._store.want_end(end.lease_id, end.code, end.why, "check")
                await self._runs.nudge(end.lease_id)
            for ask in acts.asks:
                await self._store.ask(ask)
                await self._runs.ensure(ask.id)
