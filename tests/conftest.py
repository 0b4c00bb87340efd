"""What every test may lean on: a real Temporal server, started once a process."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from infra.embedded.bytecode import keep_bytecode
from infra.temporal import DATA_CONVERTER
from tests.support.grouping import grouping as pytest_xdist_make_scheduler
from tests.support.stack import stack
from workflows.attributes import EFFORT, MODEL, RUNG, STATUS, TENANT

__all__ = ["pytest_xdist_make_scheduler", "stack"]

keep_bytecode()


@pytest.fixture(scope="session")
async def temporal_server() -> AsyncIterator[Client]:
    """A client of a fresh in-memory server with the product's search attributes."""
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
        search_attributes=[TENANT, STATUS, EFFORT, RUNG, MODEL],
    ) as environment:
        yield environment.client


@pytest.fixture
async def temporal(temporal_server: Client) -> AsyncIterator[Client]:
    """The server, which a test leaves without workflows: the next one's workers would get their tasks."""
    yield temporal_server
    async for left in temporal_server.list_workflows('ExecutionStatus = "Running"'):
        with contextlib.suppress(RPCError):
            await temporal_server.get_workflow_handle(left.id).terminate()


@pytest.fixture(autouse=True)
async def _no_task_left_behind() -> AsyncIterator[None]:
    """Fails a test that leaves a task of its own running."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()]
    if left:
        # What runs for a whole session, in fixtures, has short tasks of its own at any time.
        _, left = await asyncio.wait(left, timeout=2)
    assert not left, f"tasks left running: {left}"
