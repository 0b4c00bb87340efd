"""Jobs in types: what is taken is checked by these models, what is given is described by them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from activities.contracts.jobs import MOST_TASKS, MOST_WORKERS
from activities.contracts.swarm import JobStatus, SwarmPhase, TaskStatus
from api.models import ErrorView, LinksView, PageLinks
from api.policies import PolicyBody, PolicyView
from api.shapes import Given, JsonObject, Taken

EXAMPLE_JOB = "job_01k5h6v9c2m8r4t0x3z7q5w1ne"
MOST_GOAL_CHARS = 100_000
MOST_CONTEXT_CHARS = 1_000_000


class JobBody(Taken):
    """A goal for a swarm. Everything but `goal` may be left out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"goal": "Compare three ways to store energy", "workers": 10}]}
    )

    kind: Literal["swarm"] = "swarm"
    goal: str = Field(min_length=1, max_length=MOST_GOAL_CHARS)
    context: str = Field(
        default="", max_length=MOST_CONTEXT_CHARS, description="What every worker is to know."
    )
    tasks: int = Field(default=6, ge=1, le=MOST_TASKS, description="About how many tasks to break it into.")
    workers: int = Field(default=3, ge=1, le=MOST_WORKERS, description="Workers at once, as there is room.")
    backend: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="`gateway` is the ladder; a backend's or a model's name pins that one for every role.",
    )
    budget_usd: Annotated[float, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Dollars that all of its calls together may cost."
    )
    deadline: Annotated[datetime, Field(strict=False)] | None = Field(
        default=None, description="No task is begun after this; what there is then is put together."
    )
    tools: tuple[Literal["memory"], ...] = Field(
        default=(),
        max_length=1,
        description="`memory`: workers are given what was found earlier on their task.",
    )
    policy: PolicyBody | None = None


class JobWorkersBody(Taken):
    """More workers for a swarm that runs."""

    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)


class TaskCounts(Given):
    """How a job's tasks stand, and how much was found."""

    total: int
    open: int
    claimed: int
    done: int
    failed: int
    findings: int


class BoardView(Given):
    """A task of a job: who has it, what came of it."""

    id: str
    place: int
    title: str
    status: TaskStatus
    owner: str
    expires_at: datetime | None
    findings: int
    why: str


class CitationView(Given):
    """A finding that the synthesis cites by its label."""

    label: str
    finding: str
    task: str
    text: str
    confidence: float
    sources: list[str]


class MissingView(Given):
    """A task that was not done, and why."""

    task: str
    title: str
    why: str


class ResultView(Given):
    """What came of a swarm. `read` of `findings` were read; `stripped` are citations of findings there are not."""

    text: str
    synthesized: bool
    problem: str
    findings: int
    read: int
    tasks: int
    done: int
    citations: list[CitationView]
    stripped: list[str]
    missing: list[MissingView]


class JobView(Given):
    """A job: where it stands, what it has cost, what came of it."""

    id: str = Field(examples=[EXAMPLE_JOB])
    kind: Literal["swarm"]
    status: JobStatus
    phase: SwarmPhase
    goal: str
    options: JsonObject
    policy: PolicyView
    priority: int
    tasks: TaskCounts
    turns: int
    cost_usd: float
    reserved_usd: float
    result: ResultView | None
    error: ErrorView | None
    accepted_at: datetime
    ended_at: datetime | None
    links: LinksView


class JobWithBoard(JobView):
    """A job with its context and its tasks (a thousand at most)."""

    context: str
    board: list[BoardView]


class JobAccepted(Given):
    """A job that is safe and will come to an end; follow `links`."""

    id: str = Field(examples=[EXAMPLE_JOB])
    status: JobStatus
    links: LinksView


class JobPage(Given):
    """A page of jobs, newest first. `next_cursor` asks for the page after it."""

    data: list[JobView]
    next_cursor: str | None
    links: PageLinks
