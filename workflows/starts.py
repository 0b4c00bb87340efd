"""How a turn's workflow is started: in one place, idempotently."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.contracts.turn import TurnInput, TurnStatus
from workflows.attributes import EFFORT, STATUS, TENANT
from workflows.names import USER_TURN, Queue, turn_workflow_id

TASK_TIMEOUT = timedelta(seconds=5)
"""How long a turn stalls when the worker that has its workflow task is killed."""


async def start_turn(client: Client, turn: TurnInput, *, lifetime: timedelta) -> bool:
    """Starts the turn's workflow; False where it runs already, or has run. `lifetime` bounds it whole."""
    try:
        await client.start_workflow(
            USER_TURN,
            turn,
            id=turn_workflow_id(turn.turn_id),
            task_queue=Queue.TURNS,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=lifetime,
            task_timeout=TASK_TIMEOUT,
            priority=Priority(priority_key=turn.priority, fairness_key=turn.tenant_id),
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
        return False
    return True
