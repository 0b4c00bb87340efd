"""Names that outlive a deploy: workflow and activity types, task queues, ids, search attributes."""

from enum import StrEnum

USER_TURN = "user-turn"
SWEEP_TURNS = "sweep-turns"
SWARM = "swarm"
SWARM_WORKER = "swarm-worker"
SWEEP_JOBS = "sweep-jobs"
GPU_CARD = "gpu-card"
BURST_LEASE = "burst-lease"
REAP_LEASES = "reap-leases"
CHECK_BURST = "check-burst"
APPROVAL = "approval"
SWEEP_APPROVALS = "sweep-approvals"
TELEGRAM_CARD = "telegram-card"

CHAT = "chat"
ROUTE_TURN = "route-turn"
END_TURN = "end-turn"
START_TURN = "start-turn"
TURN_ASKER = "turn-asker"
TELL_WAITING = "tell-waiting"

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
COPY_MEMORY = "copy-memory"

ASK_TURN = "ask-turn"
TAKE_PLAN = "take-plan"
TAKE_TASK = "take-task"
RENEW_TASK = "renew-task"
LOOK_AT_WORK = "look-at-work"
CLOSE_WORK = "close-work"
PACK_FINDINGS = "pack-findings"
TAKE_SYNTHESIS = "take-synthesis"
END_JOB = "end-job"

OPEN_APPROVAL = "open-approval"
READ_APPROVAL = "read-approval"
WITHDRAW_APPROVAL = "withdraw-approval"
ATTEND_APPROVAL = "attend-approval"
ADVANCE_APPROVAL = "advance-approval"
ANNOUNCE_APPROVAL = "announce-approval"
CLOSE_APPROVAL = "close-approval"
DELIVER_WEBHOOK = "deliver-webhook"
GIVE_UP_WEBHOOK = "give-up-webhook"
APPROVAL_CHANGED = "approval-changed"
APPROVAL_DECIDED = "approval-decided"
SHOW_CARD = "show-card"
SHOW_TELEGRAM_CARD = "show-telegram-card"

OPEN_LEASE = "open-lease"
LOOK_AT_LEASE = "look-at-lease"
QUOTE_LEASE = "quote-lease"
RENT_BOX = "rent-box"
VOID_ORDER = "void-order"
MOVE_LEASE = "move-lease"
AGREE_LEASE = "agree-lease"
END_LEASE = "end-lease"
DESTROY_BOX = "destroy-box"
LOOK_AT_BURST = "look-at-burst"
ACT_ON_BURST = "act-on-burst"
LEASE_CHANGED = "lease-changed"
LIST_OFFERS = "list-offers"

ADD_WORKERS = "add-workers"
LEAVE = "leave"

TURN_PREFIX = "turn/"
SWARM_PREFIX = "swarm/"
BURST_PREFIX = "burst/"
CARD_PREFIX = "gpu-card/"
APPROVAL_PREFIX = "approval/"
TELEGRAM_CARD_PREFIX = "telegram-card/"
HOST_QUEUE_PREFIX = "gpu-host-"


class Queue(StrEnum):
    """Task queues. A pool's queue is named by the pool itself (`llm-orchestrator`, …)."""

    TURNS = "turns"
    MEMORY = "memory"
    BURST = "burst"
    TELEGRAM = "telegram"


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


def burst_workflow_id(lease_id: str) -> str:
    """The workflow id of a lease."""
    return f"{BURST_PREFIX}{lease_id}"


def swarm_worker_id(job_id: str, name: str) -> str:
    """The workflow id of a swarm's worker."""
    return f"{swarm_workflow_id(job_id)}/worker/{name}"


def approval_workflow_id(approval_id: str) -> str:
    """The workflow id of an approval."""
    return f"{APPROVAL_PREFIX}{approval_id}"


def telegram_card_id(approval_id: str, chat_id: int) -> str:
    """The workflow id of an approval's card in one chat."""
    return f"{TELEGRAM_CARD_PREFIX}{approval_id}/{chat_id}"
