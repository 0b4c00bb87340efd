"""A place where approvals are asked and decided: real stores, the product's workflows, and a tenant of its own."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import asyncpg
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from activities.contracts.approvals import (
    Answer,
    ApprovalAsk,
    ApprovalRef,
    ApprovalStatus,
    Choice,
    Decision,
    Person,
    Surface,
)
from infra.ids import new_id
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.keys import PostgresKeys
from infra.postgres.people import PostgresPeople
from infra.postgres.webhooks import PostgresWebhooks
from tests.approvals.asker import QUEUE, Asker
from tests.support.house import Ground
from workers.sandbox import workflow_runner
from workflows.names import approval_workflow_id
from workflows.policy.approvals import planned

PATIENCE_S = 30.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Gate:
    """A tenant with people in it: anna and ben are operators, carol is nobody in particular."""

    ground: Ground
    tenant_id: str
    store: PostgresApprovals
    webhooks: PostgresWebhooks

    @classmethod
    async def built(cls, ground: Ground) -> Self:
        tenant_id = f"gate-{next(_numbers)}"
        await PostgresKeys(ground.database).create(tenant_id, "test")
        people = PostgresPeople(ground.database)
        for person in (
            Person(name="anna", roles=("operator",), time_zone="Europe/Berlin"),
            Person(name="ben", roles=("operator", "finance")),
            Person(name="carol"),
        ):
            await people.put(tenant_id, person)
        return cls(ground, tenant_id, PostgresApprovals(ground.database), PostgresWebhooks(ground.database))

    def ask(self, **changed: Any) -> ApprovalAsk:
        values: dict[str, Any] = {"id": new_id("apr"), "title": "Deploy the thing", "requester": "bot"}
        return ApprovalAsk(tenant_id=self.tenant_id, **values | changed)

    def planned(self, **changed: Any) -> ApprovalAsk:
        """The ask as whoever asks sends it."""
        return planned(self.ask(**changed), datetime.now(UTC))

    async def opened(self, **changed: Any) -> ApprovalRef:
        """An approval that is open, as a workflow would have asked for it, but that nobody looks after."""
        opened = await self.store.open(self.planned(**changed), "bot", Surface.WORKFLOW)
        return self.ref(opened.approval_id)

    async def decide(self, ref: ApprovalRef, by: str, option: str = "approve", **changed: Any) -> Answer:
        """Decides by the call of the store that any surface uses, and tells nobody."""
        how: dict[str, Any] = {"surface": Surface.TELEGRAM} | changed
        choice = Choice(by=by, option=option, **how)
        return await self.store.decide(ref, choice)

    def ref(self, approval_id: str) -> ApprovalRef:
        return ApprovalRef(tenant_id=self.tenant_id, approval_id=approval_id)

    async def asked(self, *asks: ApprovalAsk) -> WorkflowHandle[Any, list[Decision]]:
        """A workflow that asks."""
        return await self.ground.client.start_workflow(
            Asker.run, list(asks), id=new_id("asker"), task_queue=QUEUE
        )

    async def told_what(self, handle: WorkflowHandle[Any, list[Decision]]) -> list[Decision]:
        """What a workflow that asked was told, when it has been."""
        async with asyncio.timeout(PATIENCE_S):
            return await handle.result()

    async def attended(self, ref: ApprovalRef) -> None:
        """Waits until the approval has a workflow."""
        await self.until("select attended_at is not null from aither.approvals where id = $1", ref)

    async def told(self, ref: ApprovalRef) -> None:
        """Waits until the approval's workflow has told everybody who waited."""
        await self.until("select told_at is not null from aither.approvals where id = $1", ref)

    async def over(self, ref: ApprovalRef) -> None:
        """Waits until the approval's workflow has closed."""
        handle = self.ground.client.get_workflow_handle(approval_workflow_id(ref.approval_id))
        async with asyncio.timeout(PATIENCE_S):
            await handle.result()

    async def status(self, ref: ApprovalRef) -> ApprovalStatus:
        view = await self.store.view(ref)
        assert view is not None
        return view.status

    async def audit(self, ref: ApprovalRef) -> list[tuple[str, str, str]]:
        """What happened: event, by whom, through what."""
        story = await self.store.story(ref)
        assert story is not None
        assert [line["number"] for line in story["audit"]] == list(range(1, len(story["audit"]) + 1))
        return [(line["event"], line["by"], line["surface"]) for line in story["audit"]]

    async def until(self, sql: str, ref: ApprovalRef, holds: Callable[[Any], bool] = bool) -> Any:
        """Waits until what PostgreSQL says of an approval holds."""
        connection = await asyncpg.connect(self.ground.stores.admin)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(value := await connection.fetchval(sql, ref.approval_id)):
                    await asyncio.sleep(0.02)
                return value
        finally:
            await connection.close()


@asynccontextmanager
async def asking(ground: Ground) -> AsyncGenerator[None]:
    """A worker for workflows that ask."""
    async with Worker(ground.client, task_queue=QUEUE, workflows=[Asker], workflow_runner=workflow_runner()):
        # Through once, so that no test pays for the first workflow.
        await ground.client.execute_workflow(Asker.run, [], id=new_id("asker"), task_queue=QUEUE)
        yield


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
