"""The swarm's ledger and memory as activities on the queue `memory`: one for each question; all are safe to run twice.

Their errors reach Temporal by their codes; a store that is away is asked again, a lost claim never.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from temporalio import activity

from activities.contracts.ledger import (
    ClaimAsk,
    ClaimReply,
    CompleteAsk,
    Completed,
    FailAsk,
    FindingIds,
    Findings,
    FindingsPage,
    GoalPage,
    PutTasks,
    ReleaseAsk,
    RenewAsk,
    Renewed,
    SearchAsk,
    SearchReply,
    TaskPage,
    TaskRef,
    TasksPut,
)
from activities.contracts.swarm import Task
from activities.errors import AitherError, TaskNotFound, to_application_error
from activities.swarm_store import SwarmStore


class RememberingActivities:
    """Each asks the store one thing."""

    def __init__(self, store: SwarmStore) -> None:
        self._store = store

    @activity.defn(name="put-tasks")
    async def put_tasks(self, ask: PutTasks) -> TasksPut:
        """Writes the tasks that are not there yet."""
        with _translated():
            return await self._store.put_tasks(ask)

    @activity.defn(name="claim-task")
    async def claim_task(self, ask: ClaimAsk) -> ClaimReply:
        """Claims any task of the goal that nobody has."""
        with _translated():
            return await self._store.claim(replace(ask, request=ask.request or _this_call()))

    @activity.defn(name="renew-claim")
    async def renew_claim(self, ask: RenewAsk) -> Renewed:
        """Renews a claim."""
        with _translated():
            return await self._store.renew(ask)

    @activity.defn(name="complete-task")
    async def complete_task(self, ask: CompleteAsk) -> Completed:
        """Records what was found, then that the task is done."""
        with _translated():
            return await self._store.complete(ask)

    @activity.defn(name="fail-task")
    async def fail_task(self, ask: FailAsk) -> None:
        """Records that the task cannot be done."""
        with _translated():
            await self._store.fail(ask)

    @activity.defn(name="release-task")
    async def release_task(self, ask: ReleaseAsk) -> None:
        """Gives the task back."""
        with _translated():
            await self._store.release(ask)

    @activity.defn(name="list-tasks")
    async def list_tasks(self, page: GoalPage) -> TaskPage:
        """A page of the goal's tasks, without their texts."""
        with _translated():
            return await self._store.tasks(page)

    @activity.defn(name="read-task")
    async def read_task(self, ref: TaskRef) -> Task:
        """The task with its text; for whoever works on it, not for a workflow."""
        with _translated():
            task = await self._store.read_task(ref)
            if task is None:
                raise TaskNotFound(f"there is no task {ref.task_id}")
            return task

    @activity.defn(name="goal-findings")
    async def goal_findings(self, page: GoalPage) -> FindingsPage:
        """A page of references to the goal's findings, and how many there are."""
        with _translated():
            return await self._store.refs(page)

    @activity.defn(name="read-findings")
    async def read_findings(self, ids: FindingIds) -> Findings:
        """Findings whole; for whoever writes the synthesis, not for a workflow."""
        with _translated():
            return await self._store.read(ids)

    @activity.defn(name="search-memory")
    async def search_memory(self, ask: SearchAsk) -> SearchReply:
        """The tenant's findings that are nearest to the query."""
        with _translated():
            return await self._store.search(ask)

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """Every activity, for a worker to register."""
        return (
            self.put_tasks,
            self.claim_task,
            self.renew_claim,
            self.complete_task,
            self.fail_task,
            self.release_task,
            self.list_tasks,
            self.read_task,
            self.goal_findings,
            self.read_findings,
            self.search_memory,
        )


def _this_call() -> str:
    """What stays the same when the running activity is tried again, and is no other's."""
    if not activity.in_activity():
        return ""
    info = activity.info()
    return f"{info.workflow_id or ''}/{info.workflow_run_id or ''}/{info.activity_id}"


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except AitherError as error:
        raise to_application_error(error) from error
