"""A swarm: a goal, the tasks that it is broken into, who works on which, and what was found.

What may stand in a workflow history are ids, numbers and short lines; the goal's text, the tasks' and the findings'
are in PostgreSQL and Qdrant, under these ids.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

CLAIM_TTL = timedelta(seconds=600)


class JobStatus(StrEnum):
    """Where a job is; the last three are ends."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self is not JobStatus.RUNNING


class SwarmPhase(StrEnum):
    """What a running swarm is at."""

    PLANNING = "planning"
    WORKING = "working"
    SYNTHESIZING = "synthesizing"
    ENDED = "ended"


class TaskStatus(StrEnum):
    """Where a task is. OPEN: nobody has it, or whoever had it let its claim run out."""

    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


class Role(StrEnum):
    """Who a call of a swarm is made as; each has a backend, a model and an effort of its own."""

    PLANNER = "planner"
    WORKER = "worker"
    SYNTHESIZER = "synthesizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One self-contained piece of a goal. Its id follows from the goal and its own text, whoever plans it.

    `token` fences: it grows with every claim, and a result that brings an older one is refused.
    """

    id: str
    goal_id: str
    tenant_id: str
    place: int
    title: str
    text: str
    status: TaskStatus = TaskStatus.OPEN
    owner: str = ""
    token: int = 0
    expires_at: datetime | None = None
    attempts: int = 0
    findings: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a task until `expires_at`, unless it is renewed."""

    task: Task
    owner: str
    token: int
    expires_at: datetime


class EdgeKind(StrEnum):
    """How a finding stands to something else."""

    TASK = "task"
    GOAL = "goal"
    SUPPORTS = "supports"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """From a finding to a task, a goal or another finding, by id."""

    kind: EdgeKind
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found: a node of graph memory. Its id follows from its task, the claim's token and its place.

    `confidence` is 0 to 1, as whoever found it says. `sources` are URLs, titles, or ids of other findings.
    """

    id: str
    tenant_id: str
    goal_id: str
    task_id: str
    agent: str
    text: str
    confidence: float
    sources: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    found_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A finding that a search came upon; `score` is 0 to 1, higher is nearer."""

    finding: Finding
    score: float
