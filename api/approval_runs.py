"""The durable side of approvals, as the API uses it: their workflows are reached here, behind the reply's back."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError

from activities.contracts.approvals import ApprovalRef
from workflows.approval_starts import wake_approval

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=5)
AWAY = (RPCError, RuntimeError, OSError, TimeoutError)
AT_ONCE = 32


class ApprovalRuns(Protocol):
    """Reaches approvals' workflows. Does not raise: the row is safe without them, and the sweep sees it."""

    async def wake(self, ref: ApprovalRef) -> None:
        """Starts the workflow, or tells the one that runs that something has changed."""
        ...


class TemporalApprovalRuns:
    """Implements `ApprovalRuns`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def wake(self, ref: ApprovalRef) -> None:
        """See `ApprovalRuns`."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await wake_approval(self._client, ref, rpc_timeout=PATIENCE)
        except AWAY as error:
            log.warning("approval %s is left to the sweep: %s", ref.approval_id, type(error).__name__)


class Errands:
    """Wakes that are under way while their requests have been answered already."""

    def __init__(self, runs: ApprovalRuns) -> None:
        self._runs = runs
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    def wake(self, ref: ApprovalRef) -> None:
        """Sees to it, soon."""
        task = asyncio.create_task(self._wake(ref))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Those that are under way at the block's end have a moment to be done; the sweep sees to the others."""
        try:
            yield
        finally:
            if self._running:
                _, late = await asyncio.wait(self._running, timeout=PATIENCE.total_seconds())
                for task in late:
                    task.cancel()

    async def _wake(self, ref: ApprovalRef) -> None:
        async with self._room:
            await self._runs.wake(ref)
