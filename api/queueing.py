"""What waits for a slot of a pool, read from Temporal: which workflows have asked, and nobody has begun."""

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.saturation import AWAY
from infra.ids import is_id
from workflows.attributes import TENANT
from workflows.names import GPU_CARD, TURN_PREFIX, USER_TURN, turn_workflow_id

LISTING_S = 4.0
"""How long a look at the queue may take; what it has not come to by then is left out."""
CALL_S = 1.5
MOST_LISTED = 20_000
MOST_DESCRIBED = 2_000
AT_ONCE = 32
TURN = "turn"
MIDDLE_PRIORITY = 3
"""What Temporal takes where nothing was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A call that waits in a pool's queue. `call` is the turn's id, or that of another workflow."""

    call: str
    kind: str
    pool: str
    priority: int
    tenant: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A workflow that runs, by the id that it has here; whose it is, and what of it waits."""

    kind: str
    tenant: str | None
    waits: tuple[Waiter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was found waiting. Not `whole`: there may be more; `away`: Temporal did not answer."""

    waiters: tuple[Waiter, ...] = ()
    whole: bool = True
    away: bool = False


def workflow_of(call: str) -> str:
    """The id of the workflow that goes here by that id."""
    return turn_workflow_id(call) if is_id("turn", call) else call


def call_of(workflow_id: str) -> str:
    """How a workflow is called here: a turn by the turn's id."""
    return workflow_id.removeprefix(TURN_PREFIX)


class Queueing:
    """Finds who waits. Visibility lists the workflows, each is then asked for what it is waiting for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def line(self, pools: Collection[str], *, tenant: str | None, skip: Collection[str] = ()) -> Line:
        """Those that wait for one of these pools, of one tenant or of all. Never raises for a Temporal away.

        The turns in `skip` are known to be served, and not asked. Of very many workflows only the ones that
        were started first are looked at.
        """
        deadline = asyncio.get_running_loop().time() + LISTING_S
        found: list[Waiter] = []
        try:
            async with asyncio.timeout_at(deadline):
                listed = await self._listed(tenant)
        except AWAY:
            return Line(whole=False, away=True)
        ids = [each for each in reversed(listed) if call_of(each) not in skip]
        whole = len(listed) < MOST_LISTED and len(ids) <= MOST_DESCRIBED
        todo = iter(ids[:MOST_DESCRIBED])
        away = False

        async def describe_on() -> None:
            nonlocal away
            for workflow_id in todo:
                try:
                    asker = await self._asker(workflow_id, pools)
                except AWAY:
                    away = True
                    return
                # Asked for by tenant, and looked at again: an index may lag behind.
                if asker is not None and (tenant is None or asker.tenant == tenant):
                    found.extend(asker.waits)

        workers = [asyncio.create_task(describe_on()) for _ in range(min(AT_ONCE, len(ids)))]
        try:
            late = (await asyncio.wait(workers, timeout=LISTING_S))[1] if workers else ()
        finally:
            for worker in workers:
                worker.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return Line(waiters=tuple(found), whole=whole and not late and not away, away=away)

    async def find(self, call: str, pools: Collection[str]) -> Asker | None:
        """The running workflow of that id; None where there is none. Raises what `AWAY` names."""
        return await self._asker(workflow_of(call), pools)

    async def cancel(self, call: str) -> None:
        """Asks the workflow to cancel itself. Raises what `AWAY` names."""
        async with asyncio.timeout(CALL_S):
            await self._client.get_workflow_handle(workflow_of(call)).cancel()

    async def _listed(self, tenant: str | None) -> list[str]:
        """Ids of running workflows, the newest first. A card never waits for a pool."""
        query = f"ExecutionStatus = 'Running' AND WorkflowType != '{GPU_CARD}'"
        if tenant is not None:
            query += f" AND {TENANT.name} = '{tenant.replace(chr(39), chr(39) * 2)}'"
        return [each.id async for each in self._client.list_workflows(query, limit=MOST_LISTED)]

    async def _asker(self, workflow_id: str, pools: Collection[str]) -> Asker | None:
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
        try:
            async with self._gate, asyncio.timeout(CALL_S):
                told = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                return None
            raise
        if told.workflow_execution_info.HasField("close_time"):
            return None
        workflow_type = told.workflow_execution_info.type.name
        kind, tenant = TURN if workflow_type == USER_TURN else workflow_type, _tenant(told)
        now = datetime.now(UTC)
        waits = tuple(
            Waiter(
                call=call_of(workflow_id), kind=kind, pool=pool, priority=priority, tenant=tenant, since=since
            )
            for pool, priority, since in _waiting(told)
            if pool in pools and since <= now
        )
        return Asker(kind=kind, tenant=tenant, waits=waits)


def ordered(waiters: Sequence[Waiter]) -> list[Waiter]:
    """The most urgent first, then those that have waited longest."""
    return sorted(waiters, key=lambda waiter: (waiter.priority, waiter.since, waiter.call))


def _waiting(told: DescribeWorkflowExecutionResponse) -> Iterator[tuple[str, int, datetime]]:
    """Queue, priority and since when, of each activity that is in a queue. One that pauses before its next
    attempt has a moment in the future.
    """
    for activity in told.pending_activities:
        if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
            priority = (
                activity.priority.priority_key
                or activity.activity_options.priority.priority_key
                or told.workflow_execution_info.priority.priority_key
                or MIDDLE_PRIORITY
            )
            yield activity.activity_options.task_queue.name, priority, _moment(_since(activity))


def _since(activity: PendingActivityInfo) -> Timestamp:
    again = activity.attempt > 1 and activity.HasField("next_attempt_schedule_time")
    return activity.next_attempt_schedule_time if again else activity.scheduled_time


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _tenant(told: DescribeWorkflowExecutionResponse) -> str | None:
    said = told.workflow_execution_info.search_attributes.indexed_fields.get(TENANT.name)
    if said is None:
        return None
    tenant = json.loads(said.data)
    return tenant if isinstance(tenant, str) else None
