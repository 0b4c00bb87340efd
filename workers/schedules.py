"""The background loops, as Temporal Schedules."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workflows.names import SWEEP_APPROVALS, SWEEP_JOBS, SWEEP_TURNS, Queue

SWEEP_EVERY = timedelta(seconds=15)


def _schedule(workflow: str, every: timedelta, queue: str, args: Sequence[object]) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            workflow,
            args=args,
            id=workflow,
            task_queue=queue,
            execution_timeout=timedelta(minutes=5),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=30)),
    )


async def ensure_schedules(client: Client) -> None:
    """Creates the schedules, or brings those that exist up to date. Safe to run by many workers at once."""
    for sweep in (SWEEP_TURNS, SWEEP_JOBS, SWEEP_APPROVALS):
        await ensure_schedule(client, sweep, every=SWEEP_EVERY)


async def ensure_schedule(
    client: Client,
    workflow: str,
    *,
    every: timedelta,
    queue: str = Queue.TURNS,
    args: Sequence[object] = (),
) -> None:
    """The same for one workflow, whose name is the schedule's too."""
    wanted = _schedule(workflow, every, queue, args)
    try:
        await client.create_schedule(workflow, wanted)
    except ScheduleAlreadyRunningError:

        async def update(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule=wanted)

        await client.get_schedule_handle(workflow).update(update)
