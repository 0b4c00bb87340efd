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

from workflows.names import SWEEP_TURNS, Queue

SWEEP_EVERY = timedelta(seconds=15)


def _schedules() -> dict[str, Schedule]:
    return {
        SWEEP_TURNS: Schedule(
            action=ScheduleActionStartWorkflow(
                SWEEP_TURNS,
                id=SWEEP_TURNS,
                task_queue=Queue.TURNS,
                execution_timeout=timedelta(minutes=5),
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=30)),
        )
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
