"""Blocks that are left at the same time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from workers.together import Together


class Broken(Exception):
    pass


@asynccontextmanager
async def slow_to_leave(meeting: asyncio.Barrier) -> AsyncGenerator[None]:
    """Can only be left together with the others."""
    yield
    await meeting.wait()


@asynccontextmanager
async def failing(when: asyncio.Event) -> AsyncGenerator[None]:
    """Fails as a worker does: by cancelling the task that holds it."""
    holder = asyncio.current_task()
    assert holder is not None

    async def fail() -> None:
        await when.wait()
        holder.cancel()

    task = asyncio.create_task(fail())
    try:
        yield
    except asyncio.CancelledError:
        raise Broken from None
    finally:
        await task


@asynccontextmanager
async def unenterable() -> AsyncGenerator[None]:
    raise Broken
    yield


async def test_all_are_left_at_once() -> None:
    meeting = asyncio.Barrier(3)
    async with asyncio.timeout(10), Together() as together:
        for _ in range(3):
            await together.enter(slow_to_leave(meeting))
        await together.leave()


async def test_one_that_fails_ends_the_whole_and_says_why() -> None:
    now, left = asyncio.Event(), asyncio.Barrier(1)
    with pytest.raises(Broken):
        async with asyncio.timeout(10), Together() as together:
            await together.enter(slow_to_leave(left))
            await together.enter(failing(now))
            now.set()
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    while task.cancelling():
        task.uncancel()


async def test_one_that_cannot_be_entered_says_so_and_the_others_are_left() -> None:
    left = asyncio.Barrier(1)
    with pytest.raises(Broken):
        async with asyncio.timeout(10), Together() as together:
            await together.enter(slow_to_leave(left))
            await together.enter(unenterable())
