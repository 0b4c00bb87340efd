"""Ledger and memory together: every question that a swarm asks of them, and what takes both.

That a task is finished once is the ledger's doing: it writes on condition of the claim's token. That no finding is
lost or doubled follows from the order here: the findings are written as a draft, in a batch named after their
content; the ledger then takes the completion together with the batch's name, in one conditional write; and only
that batch is settled, which is all that anybody reads. Whoever comes after a crash finds each of these done or not,
and goes on from there; what an overtaken claim leaves behind is never read, and is swept up.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from activities.contracts.ledger import (
    MOST_HITS,
    PAGE,
    ClaimAsk,
    ClaimRef,
    ClaimReply,
    CompleteAsk,
    Completed,
    FailAsk,
    FindingIds,
    Findings,
    FindingsPage,
    GoalPage,
    NewFinding,
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
from activities.contracts.swarm import Edge, EdgeKind, Finding, Task, TaskStatus
from activities.errors import ClaimLost, TaskNotFound
from activities.ledgers import ClaimRules, FindingMemory, TaskLedger


class SwarmStore:
    """All of it raises `StoreUnavailable`, and is safe to do again after that."""

    def __init__(
        self,
        ledger: TaskLedger,
        memory: FindingMemory,
        rules: ClaimRules,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._memory = memory
        self._rules = rules
        self._clock = clock

    async def put_tasks(self, ask: PutTasks) -> TasksPut:
        """Writes the tasks that are not there yet."""
        added = await self._ledger.put_tasks(ask.tenant_id, ask.goal_id, ask.tasks)
        counts = await self._ledger.counts(ask.tenant_id, ask.goal_id, self._clock())
        return TasksPut(added=added, counts=counts)

    async def claim(self, ask: ClaimAsk) -> ClaimReply:
        """Claims any task of the goal that nobody has."""
        now = self._clock()
        claim = await self._ledger.claim(ask, now)
        if claim is not None:
            kept = claim if ask.with_text else replace(claim, task=replace(claim.task, text=""))
            return ClaimReply(claim=kept)
        counts = await self._ledger.counts(ask.tenant_id, ask.goal_id, now)
        expiry = await self._ledger.next_expiry(ask.tenant_id, ask.goal_id)
        return ClaimReply(counts=counts, next_expiry=expiry)

    async def renew(self, ask: RenewAsk) -> Renewed:
        """Renews a claim. Raises `ClaimLost`."""
        claim = await self._ledger.renew(ask.claim, self._clock(), ask.ttl)
        return Renewed(expires_at=claim.expires_at)

    async def complete(self, ask: CompleteAsk) -> Completed:
        """Records what was found, then that the task is done; safe to do twice, and after a crash anywhere.

        Raises `ClaimLost` for a claim that is not the newest, whose findings then leave no trace.
        """
        claim, found = ask.claim, ask.findings
        task = await self._ledger.task(claim.tenant_id, claim.task_id)
        batch = _batch(claim, found)
        again = task.status is TaskStatus.DONE and task.token == claim.token
        try:
            if not again:
                self._check(task, claim, len(found))
                await self._memory.add(self._findings(claim, found), batch)
            task = await self._ledger.complete(claim, len(found), batch)
        except ClaimLost:
            await self._memory.drop(claim.tenant_id, claim.task_id, batch)
            raise
        await self._settle(claim.tenant_id, [task.id])
        ids = tuple(self._rules.finding_id(task.id, task.token, place) for place in range(task.findings))
        return Completed(finding_ids=ids, again=again)

    async def fail(self, ask: FailAsk) -> None:
        """Records that the task cannot be done. Raises `ClaimLost`."""
        await self._ledger.fail(ask.claim, ask.why)

    async def release(self, ask: ReleaseAsk) -> None:
        """Gives the task back. Raises `ClaimLost`."""
        await self._ledger.release(ask.claim, ask.why)

    async def tasks(self, page: GoalPage) -> TaskPage:
        """A page of the goal's tasks, without their texts."""
        now = self._clock()
        tasks, following = await self._ledger.page(
            page.tenant_id, page.goal_id, now, page.cursor, _limit(page)
        )
        counts = await self._ledger.counts(page.tenant_id, page.goal_id, now)
        bare = tuple(replace(task, text="") for task in tasks)
        return TaskPage(tasks=bare, counts=counts, next_cursor=following)

    async def read_task(self, ref: TaskRef) -> Task | None:
        """The task with its text; for whoever works on it, not for a workflow."""
        try:
            return await self._ledger.task(ref.tenant_id, ref.task_id)
        except TaskNotFound:
            return None

    async def refs(self, page: GoalPage) -> FindingsPage:
        """A page of references to the goal's findings, and how many there are.

        The first page settles before what a crash kept from being settled.
        """
        if not page.cursor:
            drafts = await self._memory.drafts(page.tenant_id, page.goal_id)
            await self._settle(page.tenant_id, sorted(drafts))
        refs, following = await self._memory.page(page.tenant_id, page.goal_id, page.cursor, _limit(page))
        total = await self._memory.total(page.tenant_id, page.goal_id)
        return FindingsPage(refs=tuple(refs), total=total, next_cursor=following)

    async def read(self, ids: FindingIds) -> Findings:
        """Findings whole; for whoever writes the synthesis, not for a workflow."""
        return Findings(findings=tuple(await self._memory.findings(ids.tenant_id, ids.ids)))

    async def search(self, ask: SearchAsk) -> SearchReply:
        """The tenant's findings that are nearest to the query. Raises `EmbedderMismatch`."""
        limit = min(max(ask.limit, 1), MOST_HITS)
        hits = await self._memory.search(ask.tenant_id, ask.query, ask.goal_id, limit, ask.min_score)
        return SearchReply(hits=tuple(hits))

    def _check(self, task: Task, claim: ClaimRef, findings: int) -> None:
        """Before anything is embedded for nothing."""
        after = self._rules.completed(task, claim.token, findings)
        if not isinstance(after, Task):
            raise ClaimLost(after.why)

    async def _settle(self, tenant_id: str, task_ids: Sequence[str]) -> None:
        for task_id, batch in (await self._ledger.batches(tenant_id, task_ids)).items():
            await self._memory.settle(tenant_id, task_id, batch)

    def _findings(self, claim: ClaimRef, found: Sequence[NewFinding]) -> list[Finding]:
        own = (Edge(kind=EdgeKind.TASK, to=claim.task_id), Edge(kind=EdgeKind.GOAL, to=claim.goal_id))
        return [
            Finding(
                id=self._rules.finding_id(claim.task_id, claim.token, place),
                tenant_id=claim.tenant_id,
                goal_id=claim.goal_id,
                task_id=claim.task_id,
                agent=claim.owner,
                text=new.text,
                confidence=new.confidence,
                sources=new.sources,
                edges=own + tuple(edge for edge in new.edges if edge not in own),
                found_at=self._clock(),
            )
            for place, new in enumerate(found)
        ]


def _batch(claim: ClaimRef, found: Sequence[NewFinding]) -> str:
    """The name of these findings under this claim: another attempt that found something else has another."""
    whole = msgspec.json.encode([claim.task_id, claim.token, list(found)])
    return hashlib.sha256(whole).hexdigest()[:32]


def _limit(page: GoalPage) -> int:
    return min(max(page.limit, 1), PAGE)
