"""What a swarm's activities need of the world beside the ledger and graph memory, as protocols."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from activities.contracts.jobs import Asked, JobEventKind, JobRecord, JobRef, Stop
from activities.contracts.ledger import NewFinding
from activities.contracts.swarm import Finding, JobStatus, Role, SwarmPhase, Task, TaskStatus
from activities.contracts.swarm_texts import Cited, Plan, Prompt
from activities.contracts.turn import TurnStatus
from activities.ports import StartOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTurn:
    """A turn of a job: its own id, as whom it is asked, and what of. `cap_nano` bounds the whole job with it."""

    turn_id: str
    role: Role
    prompt: Prompt
    task_id: str = ""
    cap_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSaid:
    """How a turn of a job stands, and the newest thing that was answered in it, whether it could go out or not."""

    status: TurnStatus
    text: str = ""
    code: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether it ended without an answer that could go out."""
        return self.status in {TurnStatus.FAILED, TurnStatus.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardTask:
    """A task as the job's readers see it."""

    id: str
    place: int
    title: str
    status: TaskStatus = TaskStatus.OPEN
    owner: str = ""
    expires_at: datetime | None = None
    findings: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardLook:
    """How many tasks stand how; a claim that has run out counts as open."""

    open: int
    claimed: int
    done: int
    failed: int
    findings: int
    next_expiry_s: float | None


class JobStore(Protocol):
    """Jobs in PostgreSQL. Raises `StoreUnavailable` and `JobNotFound`."""

    async def record(self, ref: JobRef) -> JobRecord:
        """The job as it stands."""
        ...

    async def said(self, ref: JobRef, turn_ids: Sequence[str]) -> Mapping[str, TurnSaid]:
        """Those of the turns that there are."""
        ...

    async def set_phase(self, ref: JobRef, phase: SwarmPhase) -> None:
        """Moves a running job on. Waits for everything that `while_working` has in hand."""
        ...

    async def while_working(self, ref: JobRef, do: Callable[[], Awaitable[BoardTask]]) -> BoardTask | None:
        """Does it, and notes what came of it, unless the job's work is over: it is not over before both are done.

        None where it is. `do` may be called twice, and must not ask this store for anything.
        """
        ...

    async def put_board(self, ref: JobRef, tasks: Sequence[BoardTask]) -> None:
        """Writes tasks that are not on the board yet."""
        ...

    async def note(self, ref: JobRef, task: BoardTask) -> None:
        """What became of a task; its title and place stay. A task at its end stays there."""
        ...

    async def note_expiry(self, ref: JobRef, task_id: str, until: datetime) -> None:
        """A claim stands until then."""
        ...

    async def look(self, ref: JobRef) -> BoardLook:
        """The board in numbers."""
        ...

    async def board(self, ref: JobRef) -> Sequence[BoardTask]:
        """All tasks, by place."""
        ...

    async def close_board(self, ref: JobRef, why: str) -> None:
        """Whatever is not at its end is failed, for that reason."""
        ...

    async def set_result(self, ref: JobRef, result: Mapping[str, Any]) -> None:
        """What came of a running job."""
        ...

    async def end(
        self, ref: JobRef, status: JobStatus, error: Mapping[str, str] | None
    ) -> tuple[JobStatus, Mapping[str, Any]]:
        """Ends the job unless it has ended; how it stands then, and its view."""
        ...

    async def due(self, limit: int) -> Sequence[JobRef]:
        """Jobs that should have a running workflow and were not looked at lately, of all tenants."""
        ...


class JobTeller(Protocol):
    """The side channel that carries a job's events. Never fails whoever tells: the row is the truth."""

    async def tell(self, job_id: str, *events: tuple[JobEventKind, Mapping[str, Any]]) -> None:
        """Adds events to the job's stream."""
        ...


class Asking(Protocol):
    """Makes turns of what a swarm's roles are to be asked."""

    def window(self, job: JobRecord, role: Role) -> int:
        """Tokens that prompt and answer of the role may take together."""
        ...

    def least_nano(self, job: JobRecord, role: Role, prompt: Prompt | None = None) -> int:
        """What a call of the role costs at most, on the cheapest backend that it may be asked of."""
        ...

    def turn_id(self, ref: JobRef, *words: str) -> str:
        """The id of the turn that these words name; always the same."""
        ...

    async def ask(self, job: JobRecord, turn: JobTurn) -> Asked:
        """Stores the turn unless it is there."""
        ...


class Room(Protocol):
    """How much room a role's pool has for a swarm."""

    async def room(self, job: JobRecord) -> int:
        """Calls that the job's workers may have in hand now, together."""
        ...


class JobStarter(Protocol):
    """Starts jobs' workflows."""

    async def start(self, ref: JobRef) -> StartOutcome:
        """Starts the job's workflow unless it runs, or has run."""
        ...


class SwarmRules(Protocol):
    """The pure rules of swarms; `workflows.policy` holds them."""

    def task_id(self, goal_id: str, text: str) -> str:
        """The id of the goal's task with that text."""
        ...

    def read_plan(self, text: str, wanted: int, *, lenient: bool = False) -> Plan:
        """The plan in an answer."""
        ...

    def read_findings(self, text: str) -> tuple[NewFinding, ...]:
        """The findings in an answer."""
        ...

    def read_citations(self, text: str, findings: int) -> Cited:
        """What a synthesis cites."""
        ...

    def without_unknown(self, text: str, findings: int) -> str:
        """A synthesis without what it cites that there is not."""
        ...

    def plan_prompt(
        self, goal: str, context: str, wanted: int, window: int, *, mistake: str = "", said: str = ""
    ) -> Prompt:
        """What the planner is asked."""
        ...

    def work_prompt(self, task: Task, context: str, remembered: Sequence[str], window: int) -> Prompt:
        """What a worker is asked."""
        ...

    def synthesis_prompt(
        self,
        goal: str,
        items: Sequence[str],
        missing: Sequence[str],
        window: int,
        *,
        last: bool,
        mistake: str = "",
        said: str = "",
    ) -> Prompt:
        """What the synthesizer is asked."""
        ...

    def labelled(self, place: int, finding: Finding, task: str) -> str:
        """A finding as the synthesizer reads it."""
        ...

    def tokens(self, text: str) -> int:
        """An estimate of a text's tokens."""
        ...

    def reading_room(self, window: int) -> int:
        """Tokens of a window that are left for what is read."""
        ...

    def packed(self, sizes: Sequence[int], window: int) -> tuple[int, ...]:
        """How many items each pass reads."""
        ...

    def worker_cap_nano(self, budget_nano: int | None) -> int | None:
        """What a job may have come to with a worker's turn."""
        ...

    def money_left(self, job: JobRecord, budget_nano: int | None, one_call_nano: int) -> bool:
        """Whether there is money for another worker's call."""
        ...

    def stopped(self, job: JobRecord, *, late: bool, money: bool) -> Stop | None:
        """Why no task is begun any more."""
        ...

    def to_nano(self, usd: float) -> int:
        """Dollars as nano-dollars."""
        ...
