"""Keys are changed under running turns."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import pytest
from pydantic import SecretStr
from temporalio.client import Client

from infra.temporal import connect
from infra.temporal.codec import new_key
from infra.temporal.converter import PayloadSealed
from tests.temporal.builds import FIRST, SECOND, begin, build, open_pools
from tests.temporal.conftest import Server, Spaced
from workflows.names import Queue
from workflows.turn import UserTurnWorkflow

OLD, NEW = new_key("2026-01"), new_key("2026-02")


@asynccontextmanager
async def at_work(client: Client, *queues: str) -> AsyncGenerator[None]:
    """Workers with this client's keys."""
    plain, pools = build("plain", deployment=None), open_pools()
    workers = [
        plain.worker(client) if queue == Queue.TURNS else pools.worker(client, queue) for queue in queues
    ]
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield
        await asyncio.gather(*(worker.shutdown() for worker in workers))


async def test_keys_are_changed_under_a_running_turn_and_one_that_is_missing_loses_nothing(
    server: Server, spaced: Spaced
) -> None:
    before = server.settings(payload_keys=SecretStr(OLD))
    old = await spaced(before)
    new = await connect(before.model_copy(update={"payload_keys": SecretStr(NEW)}))
    both = await connect(before.model_copy(update={"payload_keys": SecretStr(f"{NEW},{OLD}")}))
    async with at_work(old, Queue.TURNS):
        handle = await begin(old, "turned")
        await until(lambda: scheduled(old, handle.id))
    async with at_work(new, FIRST):
        why = await until(lambda: last_failure(new, handle.id))
    assert "encrypted with key '2026-01', and AITHER_PAYLOAD_KEYS has only \"2026-02\" here" in why
    async with at_work(both, Queue.TURNS, FIRST, SECOND):
        outcome = await both.get_workflow_handle_for(UserTurnWorkflow.run, handle.id).result()
    assert outcome.status == "completed"
    with pytest.raises(PayloadSealed, match="key '2026-02'"):
        await old.get_workflow_handle(handle.id).result()


async def scheduled(client: Client, workflow_id: str) -> object:
    raw = (await client.get_workflow_handle(workflow_id).describe()).raw_description
    return raw.pending_activities


async def last_failure(client: Client, workflow_id: str) -> str | None:
    """Of the call that is under way, as somebody with the client's keys reads it."""
    raw = (await client.get_workflow_handle(workflow_id).describe()).raw_description
    if not raw.pending_activities or not raw.pending_activities[0].HasField("last_failure"):
        return None
    failure: BaseException | None = await client.data_converter.decode_failure(
        raw.pending_activities[0].last_failure
    )
    said: list[str] = []
    while failure is not None:
        said.append(str(failure))
        failure = failure.__cause__
    return ": ".join(said)


T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    async with asyncio.timeout(60):
        while not (found := await look()):
            await asyncio.sleep(0.05)
    return found
