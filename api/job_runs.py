"""The durable side of jobs, as the API uses it: their workflows are started, widened and cancelled here."""

import asyncio
import logging
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.jobs import SwarmInput
from workflows.names import ADD_WORKERS, swarm_workflow_id
from workflows.swarm_starts import start_swarm

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=5)
AWAY = (RPCError, RuntimeError, OSError, TimeoutError)


class JobRuns(Protocol):
    """Starts and steers jobs' workflows. None of it raises: an accepted job is safe without them."""

    async def start(self, swarm: SwarmInput, priority: int) -> None:
        """Starts the job's workflow if Temporal answers in time; the workers' sweep starts the others."""
        ...

    async def cancel(self, job_id: str) -> bool:
        """Asks the job's workflow to cancel itself; False where there is none that could be asked."""
        ...

    async def add_workers(self, job_id: str, number: int) -> bool:
        """Lets more workers join; False where nobody could be told."""
        ...


class TemporalJobRuns:
    """Implements `JobRuns`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, swarm: SwarmInput, priority: int) -> None:
        """See `JobRuns`."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await start_swarm(self._client, swarm, priority=priority)
        except AWAY as error:
            log.warning("job %s is left to the sweep: %s", swarm.ref.job_id, type(error).__name__)

    async def cancel(self, job_id: str) -> bool:
        """See `JobRuns`."""
        handle = self._client.get_workflow_handle(swarm_workflow_id(job_id))
        try:
            await handle.cancel(rpc_timeout=PATIENCE)
        except AWAY as error:
            _note("cancelled", job_id, error)
            return False
        return True

    async def add_workers(self, job_id: str, number: int) -> bool:
        """See `JobRuns`."""
        handle = self._client.get_workflow_handle(swarm_workflow_id(job_id))
        try:
            await handle.signal(ADD_WORKERS, number, rpc_timeout=PATIENCE)
        except AWAY as error:
            _note("widened", job_id, error)
            return False
        return True


def _note(what: str, job_id: str, error: BaseException) -> None:
    if not (isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND):
        log.warning("job %s could not be %s in Temporal: %s", job_id, what, error)
