"""The background loops, as Temporal Schedules."""

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

from workflows.names import SWEEP_JOBS, SWEEP_TURNS, Queue

SWEEP_EVERY = timedelta(seconds=15)


def _schedules() -> dict[str, Schedule]:
    return {
        sweep: Schedule(
            action=ScheduleActionStartWorkflow(
                sweep,
                id=sweep,
                task_queue=Queue.TURNS,
                execution_timeout=timedelta(minutes=5),
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=30)),
        )
        for sweep in (SWEEP_TURNS, SWEEP_JOBS)
    }


async def ensure_schedules(client: Client) -> None:
    """Creates the schedules, or brings those that exist up to date. Safe to run by many workers at once."""
    for schedule_id, schedule in _schedules().items():
        try:
            await client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:
            wanted = schedule

            async def update(_: ScheduleUpdateInput, wanted: Schedule = wanted) -> ScheduleUpdate:
                return ScheduleUpdate(schedule=wanted)

            await client.get_schedule_handle(schedule_id).update(update)
