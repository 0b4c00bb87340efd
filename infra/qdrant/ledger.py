"""The task ledger in Qdrant: every change is a write on condition of the task's token, read back.

Qdrant skips a conditional write that does not match without a word, so what counts is what is read afterwards.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from activities.contracts.ledger import ClaimAsk, ClaimRef, Counts
from activities.contracts.swarm import Claim, Task, TaskStatus
from activities.errors import ClaimLost, TaskNotFound
from activities.ledgers import ClaimRules
from infra.qdrant.bounds import OWNER_BYTES, WHY_BYTES, fit
from infra.qdrant.points import BATCH, Collection, Payload, Point, Qdrant, Where
from infra.qdrant.task_rows import SCHEMA, new_row, of_goal, row_id, seconds, state_of, task_of

WINDOW = 8
"""Free tasks that a worker looks at before it tries one."""
ROUNDS = 16
"""How often it looks again when others were quicker at all of them."""


class QdrantLedger:
    """Implements `activities.ledgers.TaskLedger`."""

    def __init__(self, qdrant: Qdrant, rules: ClaimRules) -> None:
        self._qdrant = qdrant
        self._rules = rules

    async def put_tasks(self, tenant_id: str, goal_id: str, tasks: Sequence[Task]) -> int:
        """See `TaskLedger`."""
        rows = await self._rows()
        added = 0
        for first in range(0, len(tasks), BATCH):
            batch = {row_id(tenant_id, task.id): task for task in tasks[first : first + BATCH]}
            there = {point.id for point in await rows.read(list(batch))}
            new = [
                Point(id=id, payload=new_row(tenant_id, goal_id, task))
                for id, task in batch.items()
                if id not in there
            ]
            if new:
                # Another may have put them meanwhile, and somebody may have claimed them: those stay.
                await rows.add(new, over=False)
                added += len(new)
        return added

    async def task(self, tenant_id: str, task_id: str) -> Task:
        """See `TaskLedger`."""
        return task_of(await self._row(await self._rows(), tenant_id, task_id))

    async def tasks(self, tenant_id: str, goal_id: str, now: datetime) -> list[Task]:
        """See `TaskLedger`."""
        found: list[Task] = []
        cursor = ""
        while True:
            page, cursor = await self.page(tenant_id, goal_id, now, cursor, BATCH)
            found += page
            if not cursor:
                return sorted(found, key=lambda task: (task.place, task.id))

    async def page(
        self, tenant_id: str, goal_id: str, now: datetime, cursor: str, limit: int
    ) -> tuple[list[Task], str]:
        """See `TaskLedger`."""
        rows = await self._rows()
        points, following = await rows.scroll(of_goal(tenant_id, goal_id), limit, cursor or None)
        return [self._rules.seen(task_of(point.payload), now) for point in points], following or ""

    async def counts(self, tenant_id: str, goal_id: str, now: datetime) -> Counts:
        """See `TaskLedger`."""
        rows = await self._rows()
        by = await rows.facet(of_goal(tenant_id, goal_id), "status")
        claimed = by.get(TaskStatus.CLAIMED, 0)
        over = 0
        if claimed:
            run_out = of_goal(tenant_id, goal_id, status=TaskStatus.CLAIMED, free_at=seconds(now))
            over = min(claimed, await rows.count(run_out))
        return Counts(
            open=by.get(TaskStatus.OPEN, 0) + over,
            claimed=claimed - over,
            done=by.get(TaskStatus.DONE, 0),
            failed=by.get(TaskStatus.FAILED, 0),
        )

    async def next_expiry(self, tenant_id: str, goal_id: str) -> datetime | None:
        """See `TaskLedger`."""
        rows = await self._rows()
        first = await rows.least(of_goal(tenant_id, goal_id, status=TaskStatus.CLAIMED), "free_at")
        return task_of(first.payload).expires_at if first else None

    async def claim(self, ask: ClaimAsk, now: datetime) -> Claim | None:
        """See `TaskLedger`."""
        rows = await self._rows()
        if ask.request and (mine := await self._made(rows, ask, now)):
            return mine
        nonce = ask.request or uuid.uuid4().hex
        for _ in range(ROUNDS):
            free = await self._free(rows, ask, now)
            for task in self._rules.spread(ask.owner, free):
                if claim := await self._take(rows, task, replace(ask, request=nonce), now):
                    return claim
            if not free:
                return None
        return None

    async def renew(self, claim: ClaimRef, now: datetime, ttl: timedelta) -> Claim:
        """See `TaskLedger`."""
        rows = await self._rows()
        task = task_of(await self._row(rows, claim.tenant_id, claim.task_id))
        after = self._rules.renewed(task, claim.token, now, ttl)
        if not isinstance(after, Task):
            raise ClaimLost(after.why)
        assert after.expires_at is not None
        stored = await self._swap(rows, claim, {"free_at": seconds(after.expires_at)}, TaskStatus.CLAIMED)
        return self._rules.claim_of(task_of(stored))

    async def complete(self, claim: ClaimRef, findings: int, batch: str) -> Task:
        """See `TaskLedger`."""
        rows = await self._rows()
        task = task_of(await self._row(rows, claim.tenant_id, claim.task_id))
        return await self._end(
            rows, claim, task, self._rules.completed(task, claim.token, findings), {"batch": batch}
        )

    async def fail(self, claim: ClaimRef, why: str) -> Task:
        """See `TaskLedger`."""
        rows = await self._rows()
        task = task_of(await self._row(rows, claim.tenant_id, claim.task_id))
        after = self._rules.failed(task, claim.token, fit(why, WHY_BYTES))
        return await self._end(rows, claim, task, after, {})

    async def release(self, claim: ClaimRef, why: str) -> Task:
        """See `TaskLedger`."""
        rows = await self._rows()
        task = task_of(await self._row(rows, claim.tenant_id, claim.task_id))
        after = self._rules.released(task, claim.token, fit(why, WHY_BYTES))
        try:
            return await self._end(rows, claim, task, after, {})
        except ClaimLost:
            if not isinstance(after, Task):
                raise
            # Somebody has it by now: that is what giving back is for.
            return await self.task(claim.tenant_id, claim.task_id)

    async def batches(self, tenant_id: str, task_ids: Sequence[str]) -> dict[str, str | None]:
        """See `TaskLedger`."""
        rows = await self._rows()
        found: dict[str, str | None] = {}
        for first in range(0, len(task_ids), BATCH):
            ids = [row_id(tenant_id, id) for id in task_ids[first : first + BATCH]]
            for point in await rows.read(ids):
                if point.payload["status"] in {TaskStatus.DONE, TaskStatus.FAILED}:
                    found[point.payload["id"]] = point.payload["batch"] or None
        return found

    async def _rows(self) -> Collection:
        return await self._qdrant.collection(SCHEMA)

    async def _row(self, rows: Collection, tenant_id: str, task_id: str) -> Payload:
        return _only(await rows.read([row_id(tenant_id, task_id)]), task_id)

    async def _made(self, rows: Collection, ask: ClaimAsk, now: datetime) -> Claim | None:
        """The claim that the same request has made before, renewed; None where there is none, or it was lost."""
        mine = of_goal(ask.tenant_id, ask.goal_id, status=TaskStatus.CLAIMED, request=ask.request)
        points, _ = await rows.scroll(mine, 1)
        if not points:
            return None
        claim = self._rules.claim_of(task_of(points[0].payload))
        try:
            return await self.renew(ClaimRef.of(claim), now, ask.ttl)
        except ClaimLost:
            return None

    async def _free(self, rows: Collection, ask: ClaimAsk, now: datetime) -> list[Task]:
        """Some free tasks, from a place of the worker's own on, then from the beginning."""
        free = of_goal(ask.tenant_id, ask.goal_id, free_at=seconds(now))
        points, _ = await rows.scroll(free, WINDOW, self._rules.first_look(ask.owner))
        if not points:
            points, _ = await rows.scroll(free, WINDOW)
        return [task_of(point.payload) for point in points]

    async def _take(self, rows: Collection, task: Task, ask: ClaimAsk, now: datetime) -> Claim | None:
        after = self._rules.claimed(task, fit(ask.owner, OWNER_BYTES), now, ask.ttl)
        if not isinstance(after, Task):
            return None
        id = row_id(task.tenant_id, task.id)
        unchanged = Where(ids=[id], equal={"token": task.token}, at_most={"free_at": seconds(now)})
        stored = _only(await rows.swap(unchanged, {**state_of(after), "request": ask.request}), task.id)
        mine = stored["request"] == ask.request and stored["token"] == after.token
        return self._rules.claim_of(task_of(stored)) if mine else None

    async def _end(self, rows: Collection, claim: ClaimRef, task: Task, after: Any, more: Payload) -> Task:
        """Writes what a claim comes to, unless it has before."""
        if not isinstance(after, Task):
            raise ClaimLost(after.why)
        if after is task:
            return task
        return task_of(await self._swap(rows, claim, {**state_of(after), **more}, after.status))

    async def _swap(self, rows: Collection, claim: ClaimRef, payload: Payload, wanted: TaskStatus) -> Payload:
        """Writes while the claim is the newest; raises `ClaimLost` where it turns out that it was not."""
        id = row_id(claim.tenant_id, claim.task_id)
        stands = Where(ids=[id], equal={"token": claim.token, "status": TaskStatus.CLAIMED})
        stored = _only(await rows.swap(stands, payload), claim.task_id)
        if stored["token"] != claim.token or stored["status"] != wanted:
            raise ClaimLost(
                f"claim {claim.token} was followed by claim {stored['token']} ({stored['status']})"
            )
        return stored


def _only(points: Sequence[Point], task_id: str) -> Payload:
    if not points:
        raise TaskNotFound(f"there is no task {task_id}")
    return points[0].payload
