"""A swarm as a job: what is asked of it, and what its workflows and activities tell each other on the way.

All but `JobRecord` may stand in a workflow's history: ids, numbers, and reasons of a few words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from activities.contracts.ledger import ClaimRef
from activities.contracts.policy import Bounds
from activities.contracts.swarm import CLAIM_TTL, JobStatus, Role, SwarmPhase
from activities.contracts.turn import TurnInput, TurnStatus

MOST_TASKS = 10_000
MOST_WORKERS = 10_000
GRACE = timedelta(seconds=30)
"""How long after its deadline a swarm lets running turns finish before it cancels them."""
ATTEMPTS = 2
"""Turns that a task, the plan or the synthesis gets at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCall:
    """How a role is asked: of which model (`auto` is the ladder), and how hard it is to try."""

    model: str = "auto"
    effort: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """What a swarm goes by, fixed when it is accepted. `roles` has every role; `memory_hits` 0 allows no memory."""

    tasks: int = 6
    workers: int = 3
    roles: Mapping[Role, RoleCall] = field(default_factory=dict[Role, RoleCall])
    memory_hits: int = 0
    budget_usd: float | None = None
    deadline: datetime | None = None
    grace: timedelta = GRACE
    claim_ttl: timedelta = CLAIM_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """One job of a tenant."""

    tenant_id: str
    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as its activities see it: its texts, its rules, and what it has come to. Money in nano-dollars."""

    ref: JobRef
    status: JobStatus
    phase: SwarmPhase
    goal: str
    context: str
    options: SwarmOptions
    policy: Bounds
    priority: int
    key_id: str
    fairness_weight: float = 1.0
    spent_nano: int = 0
    reserved_nano: int = 0
    running_turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmInput:
    """Starts a swarm's workflow; `phase` and what follows are how far an earlier run of it has come.

    A history is begun anew after `long_history` events (Temporal ends a workflow at 51,200), a worker's after
    `tasks_a_run` tasks of about 25 events each.
    """

    ref: JobRef
    workers: int
    deadline: datetime | None = None
    grace: timedelta = GRACE
    claim_ttl: timedelta = CLAIM_TTL
    turn_lifetime: timedelta = timedelta(hours=1)
    preview: str = ""
    long_history: int = 10_000
    tasks_a_run: int = 100
    phase: SwarmPhase = SwarmPhase.PLANNING
    started: int = 0
    stop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInput:
    """Starts a worker of a swarm. `finished` counts the tasks of its earlier runs."""

    ref: JobRef
    name: str
    claim_ttl: timedelta = CLAIM_TTL
    turn_lifetime: timedelta = timedelta(hours=1)
    tasks_a_run: int = 100
    finished: int = 0
    handing_in: "Worked | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeft:
    """How many tasks a worker handed in, and why it went."""

    finished: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAsk:
    """Asks for a turn of the planner's or the synthesizer's: the same words always name the same turn.

    `attempt` 1 quotes what was wrong with attempt 0. A synthesizer's `level` and `index` say which pass it is,
    `first` and `count` what it reads; `last` that its answer is the synthesis.
    """

    ref: JobRef
    role: Role
    attempt: int = 0
    level: int = 0
    index: int = 0
    first: int = 0
    count: int = 0
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A turn's row stands. `turn` starts its workflow; None where it has ended, or is not to be asked any more."""

    turn_id: str
    status: TurnStatus
    turn: TurnInput | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTaken:
    """What came of a plan: so many tasks on the ledger, or what was wrong with it."""

    tasks: int = 0
    mistake: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A task's turn has ended, and its worker hands in what came of it."""

    claim: ClaimRef
    turn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAsk:
    """A worker hands in what it has, and wants the next task unless it is `leaving`."""

    ref: JobRef
    owner: str
    claim_ttl: timedelta = CLAIM_TTL
    handing_in: Worked | None = None
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTaken:
    """The next task and its turn; or none, and why."""

    claim: ClaimRef | None = None
    asked: Asked | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAsk:
    """The claim is to stand for `claim_ttl` from now, while its turn runs."""

    claim: ClaimRef
    turn_id: str
    claim_ttl: timedelta = CLAIM_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Whether a claim still stands, and whether its turn has ended, whoever runs it."""

    stands: bool
    turn_ended: bool = False


class Stop(StrEnum):
    """Why no more tasks are begun, though some are left."""

    DEADLINE = "deadline"
    BUDGET = "budget"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLook:
    """How the work stands: tasks open for a claim and in hand, and how many workers there is room for."""

    open: int
    claimed: int
    room: int
    next_expiry_s: float | None = None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkClosed:
    """The work is over: nothing is claimed or handed in any more. `why` of the tasks that are missing."""

    tasks: int
    done: int
    findings: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackAsk:
    """What is there to be read at a level: findings at 0, above it the answers of the `passes` below."""

    ref: JobRef
    level: int = 0
    passes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """How many of them each pass reads, in order. One pass is the last."""

    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisTaken:
    """What came of it stands in the job's row; or what is wrong with the answer, which is to be asked for again.

    `problem`: there was no answer, and what stands are the findings as they are.
    """

    mistake: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnding:
    """Asks for a job's end to be recorded; one that is there wins. `code` is empty unless it failed."""

    ref: JobRef
    status: JobStatus
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """The end that stands."""

    status: JobStatus


class JobEventKind(StrEnum):
    """Event names as they stand in a job's SSE stream. The three ends carry the whole job."""

    STARTED = "job.started"
    PHASE = "job.phase"
    PLANNED = "job.planned"
    CLAIMED = "task.claimed"
    DONE = "task.done"
    FAILED_TASK = "task.failed"
    REOPENED = "task.reopened"
    FINDING = "finding.recorded"
    SPEND = "job.spend"
    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"

    @property
    def ends(self) -> bool:
        """Whether nothing follows this event."""
        return self in {JobEventKind.COMPLETED, JobEventKind.FAILED, JobEventKind.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event as a reader gets it; `id` resumes the stream after it."""

    id: str
    kind: JobEventKind
    data: Mapping[str, Any]
