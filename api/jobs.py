"""Jobs as the API's edges use them: accept, look, wait, follow, widen, cancel."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from redis.exceptions import RedisError

from activities.contracts.jobs import JobEventKind, JobRef
from activities.contracts.swarm import JobStatus
from activities.contracts.topology import Topology
from activities.errors import JobNotFound
from api.job_following import Batches, JobFollower, has_ended
from api.job_intake import new_job
from api.job_models import JobBody
from api.job_runs import JobRuns
from api.problems import FieldError, Problem
from infra.ids import is_id
from infra.postgres.jobs import JobOutcome, PostgresJobs
from infra.postgres.keys import Caller
from infra.redis_events import RedisEvents
from infra.redis_jobs import RedisJobs
from infra.settings import Settings
from infra.telemetry.subject import about
from workflows.swarm_starts import swarm_input

log = logging.getLogger(__name__)

NO_JOB = "there is no job of that id; GET /v1/jobs lists those there are"
CANCEL_PATIENCE_S = 3.0


class Jobs:
    """Accepts jobs durably and follows them to their end."""

    def __init__(
        self,
        *,
        rows: PostgresJobs,
        told: RedisJobs,
        events: RedisEvents,
        runs: JobRuns,
        topology: Topology,
        settings: Settings,
        closing: asyncio.Event,
    ) -> None:
        self._rows = rows
        self._told = told
        self._events = events
        self._runs = runs
        self._topology = topology
        self._settings = settings
        self._follower = JobFollower(rows, told, closing)

    async def accept(self, caller: Caller, body: JobBody, idempotency_key: str | None) -> tuple[str, bool]:
        """Stores the job and starts its workflow; its id, and whether it was there already.

        Raises a `Problem` for a request that cannot be served; nothing is stored then.
        """
        job = new_job(caller, body, self._topology, self._settings.swarm_backend, idempotency_key)
        outcome, job_id = await self._rows.accept(job)
        if outcome is JobOutcome.CONFLICT:
            raise Problem(
                "idempotency_conflict",
                "this Idempotency-Key came with another body before; send a new key for a new request",
                FieldError(field="Idempotency-Key", message="was used for another request"),
            )
        about(job_id=job_id, tenant_id=caller.tenant_id, before=outcome is JobOutcome.REPLAYED)
        if outcome is JobOutcome.ACCEPTED:
            lifetime = timedelta(seconds=self._settings.turn_timeout_seconds)
            preview = " ".join(body.goal.split())[: self._settings.history_preview_chars]
            await self._runs.start(swarm_input(job.ref, job.options, lifetime, preview), job.priority)
        return job_id, outcome is JobOutcome.REPLAYED

    async def get(self, caller: Caller, job_id: str) -> dict[str, Any]:
        """The job as it stands, with its board. Raises `JobNotFound`, also for another tenant's."""
        view = await self._rows.view(_ref(caller, job_id)) if is_id("job", job_id) else None
        if view is None:
            raise JobNotFound(NO_JOB)
        return view

    async def wait(self, caller: Caller, job_id: str, seconds: float) -> dict[str, Any] | None:
        """The job once it has ended, or None when it has not in time."""
        return await self._follower.end(_ref(caller, job_id), seconds)

    async def batches(self, caller: Caller, job_id: str, after: str | None) -> Batches | None:
        """The job's events after the id `after`; None where that was the last. Raises `JobNotFound`."""
        view = await self.get(caller, job_id)
        return await self._follower.follow(_ref(caller, job_id), view, after)

    async def page(
        self, caller: Caller, *, before: str | None, limit: int, status: JobStatus | None
    ) -> list[dict[str, Any]]:
        """Up to `limit` jobs with ids below `before`, newest first."""
        return await self._rows.page(caller.tenant_id, before=before, limit=limit, status=status)

    async def add_workers(self, caller: Caller, job_id: str, number: int) -> dict[str, Any]:
        """Lets more workers join a job that runs; its view."""
        view = await self.get(caller, job_id)
        if has_ended(view):
            raise Problem("job_ended", f"the job is {view['status']}; begin another")
        if not await self._runs.add_workers(job_id, number):
            raise Problem("scheduler_unavailable", "Temporal does not answer; try again")
        return view

    async def cancel(self, caller: Caller, job_id: str) -> dict[str, Any]:
        """Cancels the job, its workers and their calls, unless it has ended; the view that stands."""
        view = await self.get(caller, job_id)
        if has_ended(view):
            return view
        ref = _ref(caller, job_id)
        if await self._runs.cancel(job_id):
            await self._announce(ref)
            await self._follower.end(ref, CANCEL_PATIENCE_S)
        else:
            status, ended = await self._rows.end(ref, JobStatus.CANCELLED, None)
            if status is JobStatus.CANCELLED:
                await self._told.tell(job_id, (JobEventKind.CANCELLED, ended))
        return await self.get(caller, job_id)

    async def _announce(self, ref: JobRef) -> None:
        """Tells the workers of the job's calls at once; without Redis they learn of it with their next heartbeat."""
        try:
            async with asyncio.timeout(1):
                for turn_id in await self._rows.running_turns(ref):
                    await self._events.announce_cancel(turn_id)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("the cancel of job %s is not announced: %s", ref.job_id, type(error).__name__)


def _ref(caller: Caller, job_id: str) -> JobRef:
    return JobRef(tenant_id=caller.tenant_id, job_id=job_id)
