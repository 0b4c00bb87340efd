"""The API process of one design: stores the turn, starts its workflow, waits for the end, replies."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, cast
from uuid import uuid4

import asyncpg
import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel
from redis.asyncio import Redis
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from benchmarks.designs.design import Design
from benchmarks.designs.flow import AskedTurn, Turn
from benchmarks.designs.messages import EFFORT, MODEL, RUNG, STATUS, TENANT, ChatOut, Reply, Start, TurnIn
from benchmarks.designs.worker import activities, connect, flow_worker, settings

TENANT_ID = "tenant-7"
HUB = "ends"
Entry = tuple[bytes, dict[bytes, bytes]]
INSERT = "INSERT INTO turns (turn_id, tenant_id, conversation_id, text, delay_ms) VALUES ($1, $2, $3, $4, $5)"


class Ask(BaseModel):
    """The client's request."""

    input: str
    delay_ms: int


class Told(BaseModel):
    """The reply, with the moments that were passed on the way."""

    turn_id: str
    text: str
    marks: dict[str, float]


@dataclass(slots=True)
class Genesis:
    """What a request needs."""

    design: Design
    client: Client
    pool: asyncpg.Pool
    redis: Redis
    waiting: dict[str, asyncio.Future[dict[bytes, bytes]]]

    async def start(self, turn: TurnIn) -> WorkflowHandle[Turn, ChatOut]:
        known = [
            SearchAttributePair(TENANT, turn.tenant_id),
            SearchAttributePair(STATUS, "running"),
            SearchAttributePair(RUNG, "none"),
            SearchAttributePair(MODEL, "auto"),
            SearchAttributePair(EFFORT, 3),
        ]
        return await self.client.start_workflow(
            Turn.run,
            turn,
            id=f"turn/{turn.turn_id}",
            task_queue=self.design.flow_queue,
            search_attributes=TypedSearchAttributes(known),
            request_eager_start=self.design.start == Start.EAGER,
        )

    async def update_with_start(self, turn: TurnIn) -> ChatOut:
        start = WithStartWorkflowOperation(
            AskedTurn.run,
            id=f"turn/{turn.turn_id}",
            task_queue=self.design.flow_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=TypedSearchAttributes([SearchAttributePair(TENANT, turn.tenant_id)]),
        )
        return await self.client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
            AskedTurn.ask, turn, start_workflow_operation=start
        )

    async def end(self, turn: TurnIn) -> dict[bytes, bytes]:
        if self.design.reply == Reply.HUB:
            return await self.waiting[turn.turn_id]
        return (await self.read(turn.reply_to, "0", block_ms=30_000))[0][1]

    async def read(self, stream: str, after: str, *, block_ms: int) -> list[Entry]:
        """Entries of one stream after an id; none when nothing came in time."""
        read = cast(
            "list[tuple[bytes, list[Entry]]]", await self.redis.xread({stream: after}, block=block_ms)
        )
        return read[0][1] if read else []

    async def dispatch(self) -> None:
        """Hand each end that is published to whoever waits for it here."""
        after = "0"
        while True:
            for entry_id, end in await self.read(HUB, after, block_ms=5_000):
                after = entry_id.decode()
                waiter = self.waiting.pop(end[b"turn_id"].decode(), None)
                if waiter is not None:
                    waiter.set_result(end)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    design, where = settings()
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(where.postgres, min_size=3, max_size=3))
        client = await connect(where)
        genesis = Genesis(design, client, pool, Redis(port=where.redis, protocol=2), {})
        if design.api_hosts_workflows:
            chat = await stack.enter_async_context(activities(where))
            await stack.enter_async_context(flow_worker(design, client, chat))
        dispatcher = asyncio.create_task(genesis.dispatch()) if design.reply == Reply.HUB else None
        app.state.genesis = genesis
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        yield
        if dispatcher:
            dispatcher.cancel()
        await genesis.redis.aclose()


app = FastAPI(lifespan=lifespan)


def genesis_of(request: Request) -> Genesis:
    return request.app.state.genesis


@app.post("/turns")
async def post_turn(ask: Ask, genesis: Annotated[Genesis, Depends(genesis_of)]) -> Told:
    marks = {"received": time.time()}
    design = genesis.design
    turn_id = uuid4().hex
    turn = TurnIn(
        turn_id=turn_id,
        tenant_id=TENANT_ID,
        chat=design.chat,
        chat_queue=design.chat_queue,
        reply_to=HUB if design.reply == Reply.HUB else f"turn:{turn_id}",
        ungated_step=design.ungated_step,
    )
    if design.reply == Reply.HUB:
        genesis.waiting[turn_id] = asyncio.get_running_loop().create_future()
    insert = genesis.pool.execute(INSERT, turn_id, TENANT_ID, f"c-{turn_id}", ask.input, ask.delay_ms)
    if design.start == Start.UPDATE:
        await insert
        return Told(turn_id=turn_id, text=(await genesis.update_with_start(turn)).preview, marks=marks)
    await insert
    marks["inserted"] = time.time()
    handle = await genesis.start(turn)
    marks["started"] = time.time()
    if design.reply == Reply.RESULT:
        return Told(turn_id=turn_id, text=(await handle.result()).preview, marks=marks)
    end = await genesis.end(turn)
    marks["woken"] = time.time()
    steps = ("activity", "context", "answered", "recorded")
    marks |= dict(zip(steps, msgspec.json.decode(end[b"marks"], type=list[float]), strict=True))
    return Told(turn_id=turn_id, text=end[b"text"].decode(), marks=marks)


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
