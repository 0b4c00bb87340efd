"""Which process runs what: one table of fleets, each a set of Temporal workers on their queues."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum

from temporalio.worker import Worker

from workers.composition import Composition
from workers.sandbox import workflow_runner
from workflows.names import Queue
from workflows.sweep import SweepTurnsWorkflow
from workflows.turn import UserTurnWorkflow

GRACE = timedelta(seconds=10)
"""How long a worker that stops lets its calls finish before it hands them back."""

STICKY_PATIENCE = timedelta(seconds=3)
"""How long a workflow waits for the worker that has it in its cache before any other may go on with it."""

HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""Hence how soon a cancelled call learns of it when the quicker announcement is lost."""


class Fleet(StrEnum):
    """The fleets that a process may be told to run."""

    TURNS = "turns"
    POOLS = "pools"


def turns_workers(parts: Composition) -> Sequence[Worker]:
    """Workflows, and the short activities beside them."""
    return [
        Worker(
            parts.client,
            task_queue=Queue.TURNS,
            workflows=[UserTurnWorkflow, SweepTurnsWorkflow],
            activities=[parts.turns.end_turn, parts.turns.start_turn, parts.turns.sweep_turns],
            workflow_runner=workflow_runner(),
            graceful_shutdown_timeout=GRACE,
            sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
        )
    ]


def pool_workers(parts: Composition) -> Sequence[Worker]:
    """One worker a pool, with as many slots as its members have together."""
    return [
        Worker(
            parts.client,
            task_queue=pool,
            activities=[parts.chat.chat, parts.router.route_turn],
            max_concurrent_activities=sum(member.slots for member in members),
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=GRACE,
        )
        for pool, members in parts.topology.pools().items()
    ]


FLEETS: dict[Fleet, Callable[[Composition], Sequence[Worker]]] = {
    Fleet.TURNS: turns_workers,
    Fleet.POOLS: pool_workers,
}
