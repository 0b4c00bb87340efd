"""The reaper: what the market has of ours against what our leases know, whatever became of their workflows."""

from collections.abc import Callable, Iterable, Sequence

from temporalio import activity

from activities.contracts.bursting import Reaped, Stray
from activities.contracts.lease_views import LeaseView, label_prefix
from activities.contracts.leases import Instance
from activities.errors import MarketError
from activities.leasing import alive
from activities.leasing_ports import LeaseRuns, LeaseStore
from activities.market_ports import Marketplace

REAPER = "reaper"
TRIES = 3
"""At a stray's end within one look: destroying twice does no harm, and another look is a while away."""

Strays = Callable[[Iterable[Instance], Sequence[LeaseView], str], tuple[Stray, ...]]
"""`workflows.policy.reaping.strays`."""
LeaseOfLabel = Callable[[str, str], str | None]


class ReapingActivities:
    """`reap-leases`. It never touches an instance that an open lease knows, nor one that is not labelled ours."""

    def __init__(
        self,
        store: LeaseStore,
        market: Marketplace,
        runs: LeaseRuns,
        *,
        installation: str,
        strays: Strays,
        lease_of: LeaseOfLabel,
    ) -> None:
        self._store = store
        self._market = market
        self._runs = runs
        self._installation = installation
        self._strays = strays
        self._lease_of = lease_of

    @activity.defn(name="reap-leases")
    async def reap_leases(self, dry_run: bool) -> Reaped:
        """One look: destroys strays, and sees to it that each open lease has its workflow."""
        async with alive():
            return await self.reaped(dry_run=dry_run)

    async def reaped(self, *, dry_run: bool) -> Reaped:
        """The same, for who is no activity."""
        woken = 0
        for lease in await self._store.open_leases():
            await self._runs.ensure(lease.id)
            woken += 1
        try:
            # Before the leases are read, never after: see `workflows.policy.reaping`.
            instances = await self._market.list(label_prefix(self._installation))
        except MarketError as error:
            await self._store.record("", REAPER, "list_unknown", error.message)
            return Reaped(unknown=error.message, woken=woken)
        named = {self._lease_of(each.label, self._installation) for each in instances}
        leases = await self._store.leases(sorted(name for name in named if name))
        destroyed: list[Stray] = []
        left: list[Stray] = []
        for stray in self._strays(instances, leases, self._installation):
            gone = not dry_run and await self._destroyed(stray)
            (destroyed if gone else left).append(stray)
            event = "stray_destroyed" if gone else "stray_seen" if dry_run else "stray_left"
            told = f"{stray.label}, instance {stray.instance}: {stray.why}"
            await self._store.record(stray.lease_id, REAPER, event, told)
        return Reaped(seen=len(instances), destroyed=tuple(destroyed), left=tuple(left), woken=woken)

    async def _destroyed(self, stray: Stray) -> bool:
        """Whether it is verified gone. What is left is found again at the next look."""
        for _ in range(TRIES):
            try:
                await self._market.destroy(stray.instance)
                if await self._market.get(stray.instance) is None:
                    return True
            except MarketError:
                continue
        return False
