"""What the swarm's activities need of the world: a task ledger, graph memory, and the rules of claims."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from activities.contracts.ledger import ClaimAsk, ClaimRef, Counts, FindingRef
from activities.contracts.swarm import Claim, Finding, Remembered, Task


class TaskLedger(Protocol):
    """Tasks and who has them. Raises `StoreUnavailable`; a write may then have been made or not.

    What brings a claim raises `ClaimLost` when that is not the newest, and `TaskNotFound`; what was done by the
    same claim before is done again to no effect. `now` is the asker's clock, which need only be as exact as a
    claim's time to live is long.
    """

    async def put_tasks(self, tenant_id: str, goal_id: str, tasks: Sequence[Task]) -> int:
        """Writes those that are not there, open; returns how many that were."""
        ...

    async def task(self, tenant_id: str, task_id: str) -> Task:
        """The task as it is stored. Raises `TaskNotFound`."""
        ...

    async def tasks(self, tenant_id: str, goal_id: str, now: datetime) -> list[Task]:
        """All of a goal, by place; open where the claim has run out."""
        ...

    async def page(
        self, tenant_id: str, goal_id: str, now: datetime, cursor: str, limit: int
    ) -> tuple[list[Task], str]:
        """The same in pages, in no order, and where the next one starts; empty at the end."""
        ...

    async def counts(self, tenant_id: str, goal_id: str, now: datetime) -> Counts:
        """How they stand."""
        ...

    async def next_expiry(self, tenant_id: str, goal_id: str) -> datetime | None:
        """When the first of the goal's claims runs out; None where there is none."""
        ...

    async def claim(self, ask: ClaimAsk, now: datetime) -> Claim | None:
        """A task that nobody has, or None; the same one again for the same `request`, if that is not empty."""
        ...

    async def renew(self, claim: ClaimRef, now: datetime, ttl: timedelta) -> Claim:
        """The claim, good for `ttl` from now."""
        ...

    async def complete(self, claim: ClaimRef, findings: int, batch: str) -> Task:
        """The task, done, with that many findings, which are those of the batch."""
        ...

    async def fail(self, claim: ClaimRef, why: str) -> Task:
        """The task, failed for good."""
        ...

    async def release(self, claim: ClaimRef, why: str) -> Task:
        """The task, open again."""
        ...

    async def batches(self, tenant_id: str, task_ids: Sequence[str]) -> dict[str, str | None]:
        """For each task at its end, the batch of its findings: None where it has none. Others are left out."""
        ...


class FindingMemory(Protocol):
    """Findings, as nodes of a graph. Raises `StoreUnavailable` and `EmbedderMismatch`.

    A batch that is not settled is a draft: nothing here reads it but `drafts`.
    """

    async def add(self, findings: Sequence[Finding], batch: str, *, settled: bool = False) -> None:
        """Writes the findings of a batch that are not there."""
        ...

    async def settle(self, tenant_id: str, task_id: str, batch: str | None) -> None:
        """Makes the batch what the task has found, and sweeps up its drafts."""
        ...

    async def drop(self, tenant_id: str, task_id: str, batch: str) -> None:
        """Deletes a draft."""
        ...

    async def drafts(self, tenant_id: str, goal_id: str) -> set[str]:
        """The tasks of the goal that have drafts."""
        ...

    async def total(self, tenant_id: str, goal_id: str) -> int:
        """How many findings the goal has."""
        ...

    async def page(
        self, tenant_id: str, goal_id: str, cursor: str, limit: int
    ) -> tuple[list[FindingRef], str]:
        """References of the goal's findings, in no order, and where the next page starts; empty at the end."""
        ...

    async def of_goal(self, tenant_id: str, goal_id: str) -> list[Finding]:
        """All of the goal's findings, counted; those of a task together."""
        ...

    async def findings(self, tenant_id: str, ids: Sequence[str]) -> list[Finding]:
        """Those that there are of these, in this order."""
        ...

    async def neighbours(self, tenant_id: str, finding_id: str) -> list[Finding]:
        """The findings that this one has an edge to, then those that have one to it."""
        ...

    async def search(
        self, tenant_id: str, query: str, goal_id: str, limit: int, min_score: float
    ) -> list[Remembered]:
        """The tenant's findings nearest to the query, the nearest first; of all goals where none is given."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors. Raises `StoreUnavailable` where it is away."""

    @property
    def name(self) -> str:
        """The model's."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in order, all of one size."""
        ...


class Refusal(Protocol):
    """Why a claim is not good: see `workflows.policy.claims.Refused`."""

    @property
    def why(self) -> str:
        """In a few words."""
        ...


class ClaimRules(Protocol):
    """The pure rules of claims; `workflows.policy.claims` holds them."""

    def claimed(self, task: Task, owner: str, now: datetime, ttl: timedelta) -> Task | Refusal:
        """The task once it is claimed."""
        ...

    def claim_of(self, task: Task) -> Claim:
        """A claimed task's claim."""
        ...

    def renewed(self, task: Task, token: int, now: datetime, ttl: timedelta) -> Task | Refusal:
        """The task with its claim renewed."""
        ...

    def completed(self, task: Task, token: int, findings: int) -> Task | Refusal:
        """The task when it is done."""
        ...

    def failed(self, task: Task, token: int, why: str) -> Task | Refusal:
        """The task when it cannot be done."""
        ...

    def released(self, task: Task, token: int, why: str) -> Task | Refusal:
        """The task given back."""
        ...

    def seen(self, task: Task, now: datetime) -> Task:
        """The task as a reader sees it."""
        ...

    def spread(self, owner: str, tasks: Sequence[Task]) -> list[Task]:
        """The order in which a worker tries tasks."""
        ...

    def first_look(self, owner: str) -> str:
        """The UUID at which a worker starts to look."""
        ...

    def finding_id(self, task_id: str, token: int, place: int) -> str:
        """A finding's id."""
        ...
