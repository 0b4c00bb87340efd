"""A turn inside of a swarm: started as a child under its own id, or waited for where it runs already."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from activities.contracts.jobs import Asked, TurnAsk
from activities.contracts.turn import TurnInput, TurnOutcome, TurnStatus
from workflows.attributes import EFFORT, STATUS, TENANT
from workflows.names import ASK_TURN, USER_TURN, Queue, turn_workflow_id
from workflows.options import PERSISTENT, ActivityOptions, share
from workflows.starts import TASK_TIMEOUT

PAUSES = (timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=15))
"""Between looks at a turn that somebody else has started; the last one repeats."""

TurnHandle = workflow.ChildWorkflowHandle[object, TurnOutcome]


def memory_options() -> ActivityOptions:
    """An activity beside the ledger: our own stores, on the queue of whoever has the ledger open."""
    return ActivityOptions(
        task_queue=Queue.MEMORY,
        schedule_to_start_timeout=None,
        start_to_close_timeout=timedelta(seconds=60),
        heartbeat_timeout=None,
        retry_policy=PERSISTENT,
        priority=Priority.default,
    )


async def answered(ask: TurnAsk, lifetime: timedelta) -> TurnStatus:
    """Has the planner's or synthesizer's turn asked, and waits for its end; how it ended."""
    asked = await _ask(ask)
    looks = 0
    while asked.turn is not None:
        handle = await begun(asked.turn, lifetime)
        if handle is not None:
            return await ended(handle)
        await asyncio.sleep(PAUSES[min(looks, len(PAUSES) - 1)].total_seconds())
        looks += 1
        asked = await _ask(ask)
    return asked.status


async def begun(turn: TurnInput, lifetime: timedelta) -> TurnHandle | None:
    """The turn's workflow as a child of this one; None where it runs already, or has run.

    It outlives a worker that is lost: whoever takes up the task finds its answer, and nobody pays twice.
    """
    try:
        return await workflow.start_child_workflow(
            USER_TURN,
            turn,
            id=turn_workflow_id(turn.turn_id),
            task_queue=Queue.TURNS,
            result_type=TurnOutcome,
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            parent_close_policy=ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            execution_timeout=lifetime,
            task_timeout=TASK_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=1),
            priority=share(turn, turn.priority),
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(TENANT, turn.tenant_id),
                    SearchAttributePair(STATUS, TurnStatus.RUNNING.value),
                    SearchAttributePair(EFFORT, turn.plan.effort),
                ]
            ),
            static_summary=turn.preview or None,
        )
    except WorkflowAlreadyStartedError:
        return None


async def ended(handle: TurnHandle) -> TurnStatus:
    """How the turn ended, also where it failed. When this workflow is cancelled, the turn is, before anything else."""
    try:
        await workflow.wait([handle])
    except asyncio.CancelledError:
        await stopped(handle)
        raise
    return status_of(handle)


async def stopped(handle: TurnHandle) -> None:
    """Cancels the turn, and waits until it has ended."""
    handle.cancel()
    await workflow.wait([handle])


def status_of(handle: TurnHandle) -> TurnStatus:
    """How a turn ended whose workflow has closed."""
    if handle.cancelled():
        return TurnStatus.CANCELLED
    error = handle.exception()
    if error is None:
        return TurnStatus.COMPLETED
    if isinstance(error, ChildWorkflowError):
        return TurnStatus.FAILED
    raise error


async def _ask(ask: TurnAsk) -> Asked:
    return await workflow.execute_activity(ASK_TURN, ask, result_type=Asked, **memory_options())
