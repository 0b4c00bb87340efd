"""Names that outlive a deploy: workflow and activity types, task queues, ids, search attributes."""

from enum import StrEnum

USER_TURN = "user-turn"
SWEEP_TURNS = "sweep-turns"

CHAT = "chat"
ROUTE_TURN = "route-turn"
END_TURN = "end-turn"
START_TURN = "start-turn"

TURN_PREFIX = "turn/"


class Queue(StrEnum):
    """Task queues. A pool's queue is named by the pool itself (`llm-orchestrator`, …)."""

    TURNS = "turns"


def turn_workflow_id(turn_id: str) -> str:
    """The workflow id of a turn."""
    return f"{TURN_PREFIX}{turn_id}"
