"""Which process runs what: one table of fleets, each a set of Temporal workers on their queues."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum

from temporalio.worker import Worker

from workers.composition import Composition
from workers.pools.slots import pool_tuner
from workflows.approval import ApprovalWorkflow
from workflows.gpu_card import GpuCardWorkflow
from workflows.names import Queue
from workflows.swarm import SwarmWorkflow
from workflows.swarm_worker import SwarmWorkerWorkflow
from workflows.sweep import SweepTurnsWorkflow
from workflows.sweep_approvals import SweepApprovalsWorkflow
from workflows.sweep_jobs import SweepJobsWorkflow
from workflows.telegram_card import TelegramCardWorkflow
from workflows.turn import UserTurnWorkflow

STICKY_PATIENCE = timedelta(seconds=3)
"""How long a workflow waits for the worker that has it in its cache before any other may go on with it."""

HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""Hence how soon a cancelled call learns of it when the quicker announcement is lost."""


class Fleet(StrEnum):
    """The fleets that a process may be told to run."""

    TURNS = "turns"
    POOLS = "pools"
    MEMORY = "memory"
    """The swarm's ledger and memory: see `workers.memory`."""
    TELEGRAM = "telegram"
    """Approvals as cards, where a bot is configured: see `workers.telegram`."""
    BURST = "burst"
    """Leases of rented boxes, where burst is configured: see `workers.burst`."""
    CARDS = "cards"
    """A process of its own on each machine that has cards: see `workers.card_host`."""


USUAL = (Fleet.TURNS, Fleet.POOLS, Fleet.MEMORY, Fleet.TELEGRAM, Fleet.BURST)
"""What a process runs that is not told what to run. The models on a card outlive its restart."""


def turns_workers(parts: Composition) -> Sequence[Worker]:
    """Workflows, and the short activities beside them."""
    return [
        Worker(
            parts.client,
            task_queue=Queue.TURNS,
            **parts.versioning.options,
            workflows=[
                UserTurnWorkflow,
                SweepTurnsWorkflow,
                GpuCardWorkflow,
                SwarmWorkflow,
                SwarmWorkerWorkflow,
                SweepJobsWorkflow,
                ApprovalWorkflow,
                SweepApprovalsWorkflow,
                TelegramCardWorkflow,
            ],
            activities=[
                parts.turns.end_turn,
                parts.turns.start_turn,
                parts.turns.sweep_turns,
                parts.agreeing.turn_asker,
                parts.agreeing.tell_waiting,
                parts.cards.publish_card,
                *parts.approving.all,
            ],
            workflow_runner=parts.versioning.runner(),
            graceful_shutdown_timeout=parts.drain,
            sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
        )
    ]


def pool_workers(parts: Composition) -> Sequence[Worker]:
    """One worker a pool, with as many slots as the members that are up have together."""
    return [
        Worker(
            parts.client,
            task_queue=name,
            **parts.versioning.shared,
            activities=[parts.chat.chat, parts.router.route_turn],
            tuner=pool_tuner(pool),
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=parts.drain,
        )
        for name, pool in parts.desk.pools.items()
    ]


FLEETS: dict[Fleet, Callable[[Composition], Sequence[Worker]]] = {
    Fleet.TURNS: turns_workers,
    Fleet.POOLS: pool_workers,
}
