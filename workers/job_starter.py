"""Starting a job's workflow from its row: for jobs that were never started."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.jobs import JobRef
from activities.ports import StartOutcome
from infra.postgres.jobs import PostgresJobs
from infra.settings import Settings
from workflows.names import swarm_workflow_id
from workflows.swarm_starts import start_swarm, swarm_input


class RowJobStarter:
    """Implements `activities.swarm_ports.JobStarter`."""

    def __init__(self, client: Client, jobs: PostgresJobs, settings: Settings) -> None:
        self._client = client
        self._jobs = jobs
        self._settings = settings

    async def start(self, ref: JobRef) -> StartOutcome:
        """See `JobStarter`."""
        job = await self._jobs.record(ref)
        if job.status.ended:
            return StartOutcome.RUNNING
        turn_lifetime = timedelta(seconds=self._settings.turn_timeout_seconds)
        start = swarm_input(
            ref,
            job.options,
            turn_lifetime,
            " ".join(job.goal.split())[: self._settings.history_preview_chars],
        )
        if await start_swarm(self._client, start, priority=job.priority):
            return StartOutcome.STARTED
        return StartOutcome.RUNNING if await self._runs(ref.job_id) else StartOutcome.CLOSED

    async def _runs(self, job_id: str) -> bool:
        try:
            description = await self._client.get_workflow_handle(swarm_workflow_id(job_id)).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING
