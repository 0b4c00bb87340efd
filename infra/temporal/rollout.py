"""Builds of the workers, as versions of a Temporal worker deployment: which there are, which takes what begins now."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.deployment.v1 import WorkerDeploymentInfo, WorkerDeploymentVersion
from temporalio.api.enums.v1 import (
    TaskQueueType,
    VersionDrainageStatus,
    WorkerDeploymentVersionStatus,
    WorkerStatus,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    DescribeWorkerDeploymentVersionRequest,
    ListWorkersRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

POLLED_WITHIN = timedelta(seconds=75)
"""A worker asks for work once a minute at least: one that has not for longer is gone."""
LOOK_AGAIN_S = 0.5


Queue = tuple[str, "TaskQueueType.ValueType"]
Summary = WorkerDeploymentInfo.WorkerDeploymentVersionSummary


class RolloutRefused(Exception):
    """A build cannot take over; says why, and what to do."""


class State(StrEnum):
    """How a build stands."""

    INACTIVE = "inactive"
    """Its workers have been there, and it was never asked to take anything."""
    CURRENT = "current"
    RAMPING = "ramping"
    """It takes some of what begins."""
    DRAINING = "draining"
    """It takes nothing that begins, and has work to finish."""
    DRAINED = "drained"
    """Nothing needs it any more."""


_ENDING = frozenset({WorkerStatus.WORKER_STATUS_SHUTTING_DOWN, WorkerStatus.WORKER_STATUS_SHUTDOWN})
"""What a worker says last is mostly that it is about to end."""
_STATES = {
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT: State.CURRENT,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING: State.RAMPING,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING: State.DRAINING,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED: State.DRAINED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build of the deployment. `running` counts the open workflows that are with it."""

    id: str
    state: State
    percent: float
    since: datetime | None
    workers: int
    queues: tuple[str, ...]
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The deployment's builds, newest first. Without a current one, versioned workers get no work."""

    name: str
    builds: tuple[Build, ...] = ()

    @property
    def current(self) -> Build | None:
        """The build that takes what begins now."""
        return next((each for each in self.builds if each.state is State.CURRENT), None)

    def build(self, build_id: str) -> Build | None:
        """The build of that id."""
        return next((each for each in self.builds if each.id == build_id), None)


async def look(client: Client, name: str) -> Deployment:
    """The deployment as it is; one that no worker has ever been of has no builds."""
    found = await _described(client, name)
    if found is None:
        return Deployment(name=name)
    info, seen = found.worker_deployment_info, Pollers(client, name)
    ramped = info.routing_config.ramping_version_percentage
    summaries = sorted(info.version_summaries, key=lambda each: each.create_time.ToDatetime(), reverse=True)
    builds = [await _build(client, name, each, ramped, seen) for each in summaries]
    return Deployment(name=name, builds=tuple(builds))


async def _build(client: Client, name: str, summary: Summary, ramped: float, seen: "Pollers") -> Build:
    build_id, state = summary.deployment_version.build_id, _state(summary)
    queues = await _queues(client, name, build_id)
    return Build(
        id=build_id,
        state=state,
        percent={State.CURRENT: 100 - ramped, State.RAMPING: ramped}.get(state, 0.0),
        since=_time(summary.routing_update_time),
        workers=len(await seen.of(build_id, queues)),
        queues=tuple(sorted({queue for queue, _ in queues})),
        running=await _running(client, name, build_id),
    )


def _state(summary: Summary) -> State:
    if summary.drainage_status == VersionDrainageStatus.VERSION_DRAINAGE_STATUS_DRAINING:
        return State.DRAINING
    return _STATES.get(summary.status, State.INACTIVE)


async def roll_out(
    client: Client,
    name: str,
    build_id: str,
    *,
    percent: int = 100,
    patience_s: float = 0.0,
    missing_queues: bool = False,
) -> None:
    """Has the build take what begins from now on, or so many per cent of it; what has begun stays where it is.

    Waits for the build's workers for so long. `missing_queues` allows that it does not serve all the queues that the
    current one does. To roll out the current build calls off one that ramps. Raises `RolloutRefused`.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while refusal := await _refusal(client, name, build_id, missing_queues):
        if asyncio.get_running_loop().time() >= deadline:
            raise RolloutRefused(refusal)
        await asyncio.sleep(LOOK_AGAIN_S)
    try:
        await _route(client, name, build_id, percent)
    except RPCError as error:
        if error.status is not RPCStatusCode.FAILED_PRECONDITION:
            raise
        raise RolloutRefused(error.message) from None


async def until_drained(
    client: Client, name: str, build_id: str, *, patience_s: float, told: Callable[[int], None]
) -> bool:
    """Waits until nothing needs the build any more, and tells how many workflows are with it meanwhile.

    False where that takes longer. Raises `RolloutRefused`.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        found = await _described(client, name)
        summaries = found.worker_deployment_info.version_summaries if found else ()
        states = {each.deployment_version.build_id: _state(each) for each in summaries}
        state = states.get(build_id)
        if state is None:
            raise RolloutRefused(
                f'there is no build "{build_id}" of {name}; `aither temporal versions` lists them'
            )
        if state in {State.CURRENT, State.RAMPING}:
            raise RolloutRefused(f'build "{build_id}" is {state}: roll another one out first')
        if state is not State.DRAINING:
            return True
        told(await _running(client, name, build_id))
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)


class Pollers:
    """Who asks for work, queue by queue; each queue is asked once."""

    def __init__(self, client: Client, deployment: str) -> None:
        self._client = client
        self._deployment = deployment
        self._known: dict[Queue, list[PollerInfo]] = {}
        self._ended: dict[tuple[str, str], datetime] | None = None

    async def of(self, build_id: str, queues: Iterable[Queue]) -> set[str]:
        """The workers of the build that serve any of the queues, by their identity."""
        return {
            poller.identity
            for queue in queues
            for poller in await self._at(queue)
            if poller.deployment_options.build_id == build_id
            and poller.deployment_options.deployment_name == self._deployment
            and await self._works(poller, build_id)
        }

    async def _at(self, queue: Queue) -> list[PollerInfo]:
        if queue not in self._known:
            request = DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=queue[0]),
                task_queue_type=queue[1],
            )
            self._known[queue] = list(
                (await self._client.workflow_service.describe_task_queue(request)).pollers
            )
        return self._known[queue]

    async def _works(self, poller: PollerInfo, build_id: str) -> bool:
        """Whether it asked of late, and has not said since that it ends."""
        asked = poller.last_access_time.ToDatetime(UTC)
        ended = (await self._ends()).get((poller.identity, build_id))
        return datetime.now(UTC) - asked < POLLED_WITHIN and (ended is None or ended < asked)

    async def _ends(self) -> dict[tuple[str, str], datetime]:
        """When workers said that they end, by identity and build. A server that does not keep that knows of none."""
        if self._ended is None:
            self._ended = {}
            try:
                found = await self._client.workflow_service.list_workers(
                    ListWorkersRequest(namespace=self._client.namespace, page_size=1000)
                )
            except RPCError as error:
                if error.status not in {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED}:
                    raise
                return self._ended
            for each in found.workers_info:
                beat = each.worker_heartbeat
                if beat.status in _ENDING:
                    key = (beat.worker_identity, beat.deployment_version.build_id)
                    at = beat.heartbeat_time.ToDatetime(UTC)
                    self._ended[key] = max(at, self._ended.get(key, at))
        return self._ended


async def _described(client: Client, name: str) -> DescribeWorkerDeploymentResponse | None:
    try:
        return await client.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _queues(client: Client, name: str, build_id: str) -> list[Queue]:
    """The queues that workers of the build have ever served."""
    version = WorkerDeploymentVersion(deployment_name=name, build_id=build_id)
    try:
        found = await client.workflow_service.describe_worker_deployment_version(
            DescribeWorkerDeploymentVersionRequest(namespace=client.namespace, deployment_version=version)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    return [(each.name, each.type) for each in found.version_task_queues]


async def _refusal(client: Client, name: str, build_id: str, missing_queues: bool) -> str:
    """Why the build cannot take over now; nothing where it can.

    The server itself minds workers that went minutes ago not at all, and missing queues only where they are busy.
    """
    queues, seen = await _queues(client, name, build_id), Pollers(client, name)
    begins = [each for each in queues if each[1] == TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW]
    unserved = ", ".join([queue[0] for queue in begins if not await seen.of(build_id, [queue])])
    if unserved or not begins:
        return (
            f'no worker of build "{build_id}" serves {unserved or "any queue of workflows"}: start its workers first'
            f" (AITHER_TEMPORAL_DEPLOYMENT={name}, AITHER_BUILD_ID={build_id})"
        )
    current = await _current(client, name)
    lacking = set(await _queues(client, name, current)) - set(queues) if current else set[Queue]()
    if lacking and not missing_queues:
        return (
            f'build "{build_id}" does not serve {", ".join(sorted({queue for queue, _ in lacking}))}, as the current'
            " one does: start its workers for that, or say --allow-missing-queues where it is to go"
        )
    return ""


async def _running(client: Client, name: str, build_id: str) -> int:
    query = f"TemporalWorkerDeploymentVersion = '{name}:{build_id}' AND ExecutionStatus = 'Running'"
    return (await client.count_workflows(query)).count


async def _current(client: Client, name: str) -> str:
    found = await _described(client, name)
    return found.worker_deployment_info.routing_config.current_deployment_version.build_id if found else ""


async def _route(client: Client, name: str, build_id: str, percent: int) -> None:
    service, namespace = client.workflow_service, client.namespace
    found = await _described(client, name)
    routing = found.worker_deployment_info.routing_config if found else None
    current = routing.current_deployment_version.build_id if routing else ""
    if percent < 100 and build_id != current:
        await service.set_worker_deployment_ramping_version(
            SetWorkerDeploymentRampingVersionRequest(
                namespace=namespace,
                deployment_name=name,
                build_id=build_id,
                percentage=percent,
                ignore_missing_task_queues=True,
            )
        )
        return
    await service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=namespace, deployment_name=name, build_id=build_id, ignore_missing_task_queues=True
        )
    )
    if routing and current == build_id and routing.ramping_deployment_version.build_id:
        await service.set_worker_deployment_ramping_version(
            SetWorkerDeploymentRampingVersionRequest(namespace=namespace, deployment_name=name)
        )


def _time(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.seconds else None
