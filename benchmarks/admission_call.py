"""The workflow that `benchmarks.admission` times: one call on one queue."""

from datetime import timedelta

from temporalio import workflow


@workflow.defn(name="admission-call")
class AdmissionCall:
    @workflow.run
    async def run(self, queue: str) -> None:
        await workflow.execute_activity(
            "admission-call", task_queue=queue, start_to_close_timeout=timedelta(seconds=10)
        )
