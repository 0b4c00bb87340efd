"""The pure policies of burst, as the activities are given them."""

from collections.abc import Sequence
from dataclasses import replace

from activities.contracts.bursting import Burst
from activities.contracts.lease_views import EndCode, LeaseView, Refusal, Spending
from activities.contracts.leases import Ranking
from activities.leasing_ports import Guard
from activities.market_ports import Marketplace
from workflows.autoscale import ahead_of
from workflows.policy.burst_budget import BurstCaps, bills, may_rent
from workflows.policy.offers import rank, spec_of


def guard_of(burst: Burst) -> Guard:
    """Whether the first of the open leases may order a box: burst is on, there is room, and money."""
    caps = BurstCaps(day_usd=burst.day_usd, month_usd=burst.month_usd)

    def guard(spending: Spending, leases: Sequence[LeaseView]) -> Refusal | None:
        if not burst.enabled:
            return Refusal(code=EndCode.SWITCHED_OFF, why="burst is switched off: [burst] enabled = false")
        others = sum(bills(lease) for lease in leases[1:])
        if others >= burst.most:
            return Refusal(code=EndCode.TOO_MANY, why=f"{others} leases have a box, {burst.most} may")
        return may_rent(spending, leases, caps, ahead_of(burst))

    return guard


class RankedQuotes:
    """Implements `activities.leasing_ports.Quotes` by the policy of offers."""

    def __init__(self, market: Marketplace) -> None:
        self._market = market

    async def quote(self, lease: LeaseView) -> Ranking:
        """See `Quotes`."""
        need = lease.plan.need
        out = tuple(dict.fromkeys((*need.machines_out, *lease.machines_out)))
        need = replace(need, machines_out=out)
        return rank(await self._market.search(spec_of(need)), need)
