"""Builds of the workers that run workflows, and the pools that all of them call."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from activities.contracts.cards import CardView
from activities.contracts.turn import ChatResult, ChatStep, TurnOutcome
from tests.support.turns import answered, failed, rung, turn
from workers.versioning import Versioning
from workflows.gpu_card import GpuCardWorkflow
from workflows.names import CHAT, PUBLISH_CARD, Queue, turn_workflow_id
from workflows.starts import start_turn
from workflows.turn import UserTurnWorkflow

FIRST, SECOND = "llm-first", "llm-second"
SHORT = timedelta(milliseconds=100)


@dataclass
class Pools:
    """Two pools, for the turns of every build. The first one's calls always fail, once the gate is open."""

    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name=CHAT)
    async def chat(self, step: ChatStep) -> ChatResult:
        self.calls.append((step.turn_id, step.rung.name))
        self.asked.set()
        if step.rung.name == "first":
            await self.gate.wait()
            return failed(step, "backend_unavailable")
        return answered(step)

    def worker(self, client: Client, queue: str) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            activities=[self.chat],
            max_heartbeat_throttle_interval=SHORT,
            default_heartbeat_throttle_interval=SHORT,
            **Versioning(build="whichever", deployment="aither").shared,
        )

    @asynccontextmanager
    async def open(self, client: Client) -> AsyncGenerator["Pools"]:
        """Their workers, for the block."""
        async with self.worker(client, FIRST), self.worker(client, SECOND):
            yield self


@dataclass(frozen=True)
class Build:
    """What runs workflows of one build."""

    versioning: Versioning

    @activity.defn(name=PUBLISH_CARD)
    async def publish_card(self, view: CardView) -> None:
        pass

    @asynccontextmanager
    async def running(self, client: Client, *queues: str) -> AsyncGenerator["Build"]:
        """Its workers on these queues (the usual one unless they are named), for the block."""
        async with AsyncExitStack() as stack:
            workers = [self.worker(client, queue) for queue in queues or (Queue.TURNS,)]
            for worker in workers:
                await stack.enter_async_context(worker)
            yield self
            await asyncio.gather(*(worker.shutdown() for worker in workers))

    def worker(self, client: Client, queue: str = Queue.TURNS) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=[UserTurnWorkflow, GpuCardWorkflow],
            activities=[self.publish_card],
            workflow_runner=self.versioning.runner(),
            **self.versioning.options,
        )


def build(name: str, *, deployment: str | None = "aither") -> Build:
    return Build(Versioning(build=name, deployment=deployment))


def open_pools() -> Pools:
    pools = Pools()
    pools.gate.set()
    return pools


async def begin(client: Client, turn_id: str) -> WorkflowHandle[UserTurnWorkflow, TurnOutcome]:
    """Starts a turn with two rungs."""
    asked = turn(turn_id, rung("first", FIRST), rung("second", SECOND))
    await start_turn(client, asked, lifetime=timedelta(minutes=2))
    return client.get_workflow_handle_for(UserTurnWorkflow.run, turn_workflow_id(turn_id))


async def build_of(client: Client, workflow_id: str) -> str:
    """The build that a workflow is with."""
    told = await client.get_workflow_handle(workflow_id).describe()
    return told.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id
