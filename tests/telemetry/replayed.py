"""Workflows as turns and jobs are, small enough to be replayed often."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def step(number: int) -> int:
    return number + 1


@workflow.defn(name="turn-like")
class TurnLike:
    @workflow.run
    async def run(self, steps: int) -> int:
        for number in range(steps):
            await workflow.execute_activity(step, number, start_to_close_timeout=timedelta(seconds=20))
        return steps


@workflow.defn(name="job-like")
class JobLike:
    @workflow.run
    async def run(self, turns: list[str]) -> int:
        return sum(
            [await workflow.execute_child_workflow(TurnLike.run, 1, id=f"turn/{each}") for each in turns]
        )
