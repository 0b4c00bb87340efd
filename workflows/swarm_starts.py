"""How a swarm's workflow is started: in one place, idempotently."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.contracts.jobs import JobRef, SwarmInput, SwarmOptions
from activities.contracts.swarm import JobStatus
from workflows.attributes import STATUS, TENANT
from workflows.names import SWARM, Queue, swarm_workflow_id
from workflows.starts import TASK_TIMEOUT


def swarm_input(
    ref: JobRef, options: SwarmOptions, turn_lifetime: timedelta, preview: str = ""
) -> SwarmInput:
    """What the job's workflow is started with."""
    return SwarmInput(
        ref=ref,
        workers=options.workers,
        deadline=options.deadline,
        grace=options.grace,
        claim_ttl=options.claim_ttl,
        turn_lifetime=turn_lifetime,
        preview=preview,
    )


async def start_swarm(client: Client, swarm: SwarmInput, *, priority: int) -> bool:
    """Starts the job's workflow; False where it runs already, or has run."""
    try:
        await client.start_workflow(
            SWARM,
            swarm,
            id=swarm_workflow_id(swarm.ref.job_id),
            task_queue=Queue.TURNS,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            priority=Priority(priority_key=priority, fairness_key=swarm.ref.tenant_id),
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(TENANT, swarm.ref.tenant_id),
                    SearchAttributePair(STATUS, JobStatus.RUNNING.value),
                ]
            ),
            static_summary=swarm.preview or None,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True
