"""The worker process of one design, and what the API process needs to host a part of it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import asyncpg
import msgspec
import uvloop
from redis.asyncio import Redis
from temporalio.client import Client, GrpcCompression
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from benchmarks.designs.chat import ChatActivities
from benchmarks.designs.design import Design
from benchmarks.designs.flow import AskedTurn, Turn
from benchmarks.designs.messages import Chat
from benchmarks.designs.wire import HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the parts listen."""

    temporal: str
    postgres: str
    redis: int
    backend: int


def settings() -> tuple[Design, Addresses]:
    """What the parent process asks for, from the environment."""
    design = msgspec.json.decode(os.environ["DESIGN"].encode(), type=Design)
    return design, msgspec.json.decode(os.environ["ADDRESSES"].encode(), type=Addresses)


async def connect(where: Addresses) -> Client:
    return await Client.connect(where.temporal, grpc_compression=GrpcCompression.NONE)


def runner() -> SandboxedWorkflowRunner:
    """Workflow files are imported anew for each workflow; the pure contracts pass through."""
    passed = ("benchmarks.designs.messages", "msgspec")
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*passed))


def flow_worker(design: Design, client: Client, chat: ChatActivities) -> Worker:
    """Runs workflows, and with them the activities that the design does not gate."""
    gated = design.chat == Chat.GATED
    return Worker(
        client,
        task_queue=design.flow_queue,
        workflows=[Turn, AskedTurn],
        activities=[chat.estimate] if gated else [chat.estimate, chat.chat],
        no_remote_activities=design.chat != Chat.SAME,
        workflow_runner=runner(),
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(minimum=2),
        disable_eager_activity_execution=design.chat != Chat.SAME,
    )


def pool_worker(design: Design, client: Client, chat: ChatActivities) -> Worker:
    """Runs the chat activity behind the pool's own queue: priority and slots hold."""
    return Worker(
        client,
        task_queue=design.chat_queue,
        activities=[chat.chat],
        max_concurrent_activities=50,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    )


@contextlib.asynccontextmanager
async def activities(where: Addresses) -> AsyncGenerator[ChatActivities]:
    async with asyncpg.create_pool(where.postgres, min_size=3, max_size=3) as pool:
        redis = Redis(port=where.redis)
        yield ChatActivities(pool, redis, HttpClient("127.0.0.1", where.backend))
        await redis.aclose()


async def main() -> None:
    design, where = settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with activities(where) as chat, contextlib.AsyncExitStack() as workers:
        client = await connect(where)
        if not design.api_hosts_workflows:
            await workers.enter_async_context(flow_worker(design, client, chat))
        if design.chat == Chat.GATED:
            await workers.enter_async_context(pool_worker(design, client, chat))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
