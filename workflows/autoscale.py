"""The check of all leases: hard stops on money first, then whether a pool gets a box or lets one go."""

from collections.abc import Iterator
from datetime import timedelta

from temporalio import workflow

from activities.contracts.bursting import Burst, BurstActs, BurstSight
from activities.contracts.lease_views import EndCode, Ending, LeaseAsk
from workflows.names import ACT_ON_BURST, CHECK_BURST, LOOK_AT_BURST
from workflows.options import lease_options
from workflows.policy.autoscale import decide
from workflows.policy.burst_budget import BurstCaps, overruns
from workflows.policy.lease import horizon

CHECK = "check"
AUTOSCALER = "autoscaler"


@workflow.defn(name=CHECK_BURST)
class CheckBurstWorkflow:
    """One check. Started by the schedule `check-burst`."""

    @workflow.run
    async def run(self) -> BurstActs:
        """What it had done: leases that must end, leases that are wanted."""
        sight = await workflow.execute_activity(LOOK_AT_BURST, result_type=BurstSight, **lease_options())
        ends = tuple(_overruns(sight))
        acts = BurstActs(ends=ends) if ends else _scaled(sight)
        if acts.ends or acts.asks:
            await workflow.execute_activity(ACT_ON_BURST, acts, **lease_options())
        return acts


def ahead_of(burst: Burst) -> timedelta:
    """From a check until boxes that the next one ends bill no more."""
    return max((horizon(plan) for plan in burst.plans), default=burst.check)


def _overruns(sight: BurstSight) -> Iterator[Ending]:
    burst = sight.burst
    still = [lease for lease in sight.leases if not lease.state.ended]
    caps = BurstCaps(day_usd=burst.day_usd, month_usd=burst.month_usd)
    for lease_id, refusal in overruns(sight.spending, still, caps, ahead_of(burst)).items():
        yield Ending(lease_id=lease_id, code=refusal.code, why=refusal.why)


def _scaled(sight: BurstSight) -> BurstActs:
    """What the pools' load asks for, where burst is on."""
    if not sight.burst.enabled:
        return BurstActs()
    asks: list[LeaseAsk] = []
    ends: list[Ending] = []
    pressures = {pressure.pool: pressure for pressure in sight.pressures}
    room = sight.burst.most - sum(not lease.state.ended for lease in sight.leases)
    for rules in sight.burst.rules:
        verdict = decide(rules, pressures.get(rules.pool), sight.leases)
        plan = sight.burst.plan(rules.purpose)
        ends += [Ending(lease_id=each, code=EndCode.IDLE, why="idle") for each in verdict.drain]
        if verdict.rent and plan is not None and len(asks) < room:
            lease_id = f"lease_{workflow.uuid4().hex}"
            asks.append(LeaseAsk(id=lease_id, plan=plan, asked_by=AUTOSCALER, why=verdict.why))
    return BurstActs(asks=tuple(asks), ends=tuple(ends))
