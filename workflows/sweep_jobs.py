"""Looking after jobs whose workflow is missing."""

from temporalio import workflow

from workflows.names import SWEEP_JOBS
from workflows.swarm_turns import memory_options


@workflow.defn(name=SWEEP_JOBS)
class SweepJobsWorkflow:
    """One look at the jobs that should be running. Started by the schedule `sweep-jobs`."""

    @workflow.run
    async def run(self) -> int:
        """How many jobs were started, or ended because their workflow is gone."""
        return await workflow.execute_activity(SWEEP_JOBS, result_type=int, **memory_options())
