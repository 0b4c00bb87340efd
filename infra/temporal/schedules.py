"""Loops as Temporal Schedules: made, or brought up to date, whoever does it and however often."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from temporalio.api.common.v1 import Payload
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

from activities.contracts.loops import Loop

LIFETIME = timedelta(minutes=5)
"""A round that hangs keeps the next ones from starting for no longer."""
CATCH_UP = timedelta(seconds=30)
"""Rounds that were missed for longer, because Temporal was away, are not made up for."""


class Applied(StrEnum):
    """What had to be done for a schedule."""

    MADE = "made"
    CHANGED = "changed"
    KEPT = "already so"


async def apply_loops(client: Client, loops: Sequence[Loop]) -> dict[str, Applied]:
    """Makes the schedules that are missing, and changes those that differ; what was done, by name.

    Safe to run by many at once. A schedule that somebody paused stays paused.
    """
    return {loop.workflow: await _applied(client, loop) for loop in loops}


async def _applied(client: Client, loop: Loop) -> Applied:
    wanted = _schedule(loop)
    try:
        await client.create_schedule(loop.workflow, wanted)
    except ScheduleAlreadyRunningError:
        pass
    else:
        return Applied.MADE
    handle = client.get_schedule_handle(loop.workflow)
    if await same(client, (await handle.describe()).schedule, loop):
        return Applied.KEPT

    async def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(schedule=replace(wanted, state=found.description.schedule.state))

    await handle.update(update)
    return Applied.CHANGED


async def same(client: Client, found: Schedule, loop: Loop) -> bool:
    """Whether the schedule does what the loop says. Arguments are compared as they read, sealed or not."""
    wanted, action = _schedule(loop), found.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        return False
    payloads = [each for each in action.args if isinstance(each, Payload)]
    return (
        action.workflow == loop.workflow
        and action.id == loop.workflow
        and action.task_queue == loop.queue
        and action.execution_timeout == LIFETIME
        and found.spec.intervals == wanted.spec.intervals
        and found.policy == wanted.policy
        and tuple(await client.data_converter.decode(payloads)) == loop.args
    )


def _schedule(loop: Loop) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            loop.workflow,
            args=loop.args,
            id=loop.workflow,
            task_queue=loop.queue,
            execution_timeout=LIFETIME,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=loop.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
