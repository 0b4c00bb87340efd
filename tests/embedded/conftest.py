"""A small stack for the tests of what keeps it: two real servers are enough to kill."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.support.stack import Stack, running_stack

SMALL = ("temporal", "orchestrator", "embeddings", "workers", "api")
"""What a small stack leaves out. PostgreSQL and Redis remain."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A small stack that is up before each test, whatever the test before did to it."""
    async with running_stack(tmp_path_factory.mktemp("small"), without=SMALL) as stack:
        yield stack
