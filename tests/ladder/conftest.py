import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.house import Ground
from tests.support.standin import StandIn


@pytest.fixture(scope="session")
async def ground() -> AsyncIterator[Ground]:
    async with Ground.laid() as ground:
        yield ground


@pytest.fixture
async def primary() -> AsyncIterator[StandIn]:
    async with StandIn() as standin:
        yield standin


@pytest.fixture
async def fallback() -> AsyncIterator[StandIn]:
    async with StandIn() as standin:
        yield standin


@pytest.fixture(autouse=True)
async def _no_task_left_behind(ground: Ground) -> AsyncIterator[None]:
    """As for all tests, but the session's worker goes on polling: tasks of the SDK's are its own business."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()]
    ours = [t for t in left if "temporalio" not in repr(t)]
    if ours:
        # What runs for a whole session, in fixtures, has short tasks of its own at any time.
        _, pending = await asyncio.wait(ours, timeout=2)
        ours = list(pending)
    assert not ours, f"tasks left running: {ours}"
