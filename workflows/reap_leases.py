"""Looking for boxes that are nobody's."""

from temporalio import workflow

from activities.contracts.bursting import Reaped
from workflows.names import REAP_LEASES
from workflows.options import lease_options


@workflow.defn(name=REAP_LEASES)
class ReapLeasesWorkflow:
    """One look at the market's list against our leases. Started by the schedule `reap-leases`."""

    @workflow.run
    async def run(self, dry_run: bool = False) -> Reaped:
        """What was found, and what became of it. A list that cannot be relied on ends nothing."""
        return await workflow.execute_activity(REAP_LEASES, dry_run, result_type=Reaped, **lease_options())
