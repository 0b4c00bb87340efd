"""Names that outlive a deploy: workflow and activity types, task queues, ids, search attributes."""

from enum import StrEnum

USER_TURN = "user-turn"
SWEEP_TURNS = "sweep-turns"
SWARM = "swarm"
SWARM_WORKER = "swarm-worker"
SWEEP_JOBS = "sweep-jobs"
GPU_CARD = "gpu-card"

CHAT = "chat"
ROUTE_TURN = "route-turn"
END_TURN = "end-turn"
START_TURN = "start-turn"

MOVE_RESIDENT = "move-resident"
INSPECT_CARD = "inspect-card"
PUBLISH_CARD = "publish-card"

REQUEST_HOLD = "request-hold"
RENEW_HOLD = "renew-hold"
RELEASE_HOLD = "release-hold"
HOST_REPORTS = "host-reports"
CONFIGURE = "configure"
LEASE_DECIDED = "lease-decided"
SET_POSTURE = "set-posture"
REPAIR = "repair"
CARD = "card"
LEASE_VALID = "lease-valid"
SEARCH_MEMORY = "search-memory"

ASK_TURN = "ask-turn"
TAKE_PLAN = "take-plan"
TAKE_TASK = "take-task"
RENEW_TASK = "renew-task"
LOOK_AT_WORK = "look-at-work"
CLOSE_WORK = "close-work"
PACK_FINDINGS = "pack-findings"
TAKE_SYNTHESIS = "take-synthesis"
END_JOB = "end-job"

ADD_WORKERS = "add-workers"
LEAVE = "leave"

TURN_PREFIX = "turn/"
SWARM_PREFIX = "swarm/"
CARD_PREFIX = "gpu-card/"
HOST_QUEUE_PREFIX = "gpu-host-"


class Queue(StrEnum):
    """Task queues. A pool's queue is named by the pool itself (`llm-orchestrator`, …)."""

    TURNS = "turns"
    MEMORY = "memory"


def turn_workflow_id(turn_id: str) -> str:
    """The workflow id of a turn."""
    return f"{TURN_PREFIX}{turn_id}"


def card_workflow_id(card: str) -> str:
    """The workflow id of a GPU card, by the card's own id `<host>/<index>`."""
    return f"{CARD_PREFIX}{card}"


def host_queue(host: str) -> str:
    """The task queue of the worker that runs on a host of GPU cards."""
    return f"{HOST_QUEUE_PREFIX}{host}"


def swarm_workflow_id(job_id: str) -> str:
    """The workflow id of a swarm."""
    return f"{SWARM_PREFIX}{job_id}"


def swarm_worker_id(job_id: str, name: str) -> str:
    """The workflow id of a swarm's worker."""
    return f"{swarm_workflow_id(job_id)}/worker/{name}"
