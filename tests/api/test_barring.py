"""A backend that a worker's breaker bars is known to the next turn, and forgotten as soon as it may be tried."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from activities.contracts.policy import Barred
from infra.redis_barred import RedisBarred, aged
from infra.redis_words import LIVES_S
from tests.api.conftest import Api, ask
from tests.api.stores import Stores
from workers.barring import tell_barred

SPARK = Barred(backend="spark", why="3 failures in a row", retry_in_s=20.0)


class Board:
    """Breakers that bar what the test says."""

    def __init__(self) -> None:
        self.now: tuple[Barred, ...] = ()

    def barred(self) -> tuple[Barred, ...]:
        return self.now


@pytest.fixture
async def channel(real_stores: Stores) -> AsyncIterator[RedisBarred]:
    async with RedisBarred.connect(real_stores.redis.url) as barred:
        yield barred


@asynccontextmanager
async def telling(board: Board, channel: RedisBarred) -> AsyncGenerator[None]:
    task = asyncio.create_task(tell_barred(board, channel))  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await channel.say("elsewhere", ())


async def eventually(api: Api, client: httpx2.AsyncClient, backends: set[str]) -> tuple[Barred, ...]:
    async with asyncio.timeout(10):
        while True:
            await ask(client)
            barred = api.runs.started[-1].barred
            if {each.backend for each in barred} == backends:
                return barred


async def test_the_next_turns_know_what_is_barred_and_when_it_is_over(
    api: Api, client: httpx2.AsyncClient, channel: RedisBarred
) -> None:
    board = Board()
    async with telling(board, channel):
        assert await eventually(api, client, set()) == ()
        board.now = (SPARK,)
        (seen,) = await eventually(api, client, {"spark"})
        assert seen.why == SPARK.why
        assert 0 < seen.retry_in_s <= 20.0
        board.now = ()
        await eventually(api, client, set())


async def test_the_soonest_try_of_all_processes_counts(channel: RedisBarred) -> None:
    await channel.say("one", (SPARK, Barred(backend="swap", why="x", retry_in_s=5)))
    await channel.say("two", (Barred(backend="spark", why="y", retry_in_s=3),))
    heard = {each.backend: each.retry_in_s for each in await channel.heard()}
    assert 2 < heard["spark"] <= 3
    assert 4 < heard["swap"] <= 5
    await channel.say("one", ())
    await channel.say("two", ())
    assert await channel.heard() == ()


def test_what_is_over_is_not_barred() -> None:
    assert aged((SPARK,), 19.0)[0].retry_in_s == pytest.approx(1.0)
    assert aged((SPARK,), 20.0) == ()
    assert LIVES_S < 10
