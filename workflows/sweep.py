"""Looking after turns whose workflow is missing."""

from temporalio import workflow

from workflows.names import SWEEP_TURNS
from workflows.options import store_options


@workflow.defn(name=SWEEP_TURNS)
class SweepTurnsWorkflow:
    """One look at the turns that should be running. Started by the schedule `sweep-turns`."""

    @workflow.run
    async def run(self) -> int:
        """How many turns were started, or ended because their workflow is gone."""
        return await workflow.execute_activity(SWEEP_TURNS, result_type=int, **store_options())
