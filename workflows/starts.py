"""How a turn's workflow is started: in one place, idempotently."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.contracts.cards import CardSpec
from activities.contracts.turn import TurnInput, TurnStatus
from workflows.attributes import EFFORT, STATUS, TENANT
from workflows.names import CONFIGURE, GPU_CARD, USER_TURN, Queue, card_workflow_id, turn_workflow_id
from workflows.options import share
from workflows.policy.card_state import CardState

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
        return False
    return True


async def ensure_card(client: Client, spec: CardSpec) -> None:
    """Starts the card's workflow where it does not run, and gives it this configuration. Safe to run by many."""
    await client.start_workflow(
        GPU_CARD,
        CardState(spec=spec),
        id=card_workflow_id(spec.card),
        task_queue=Queue.TURNS,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=CONFIGURE,
        start_signal_args=[spec],
        static_summary=f"GPU card {spec.card}",
    )
