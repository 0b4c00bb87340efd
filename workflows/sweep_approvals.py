"""Looking after approvals whose workflow is missing, or was not told."""

from temporalio import workflow

from workflows.names import SWEEP_APPROVALS
from workflows.options import approval_options


@workflow.defn(name=SWEEP_APPROVALS)
class SweepApprovalsWorkflow:
    """One look at the approvals that nobody looks after. Started by the schedule `sweep-approvals`."""

    @workflow.run
    async def run(self) -> int:
        """How many workflows were reached."""
        return await workflow.execute_activity(SWEEP_APPROVALS, result_type=int, **approval_options())
