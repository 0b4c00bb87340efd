"""How a lease's workflow is started and told of changes: in one place, idempotently."""

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from activities.contracts.leases import LeaseState
from workflows.attributes import STATUS
from workflows.names import BURST_LEASE, LEASE_CHANGED, Queue, burst_workflow_id
from workflows.starts import TASK_TIMEOUT


async def ensure_lease(client: Client, lease_id: str, *, changed: bool = False) -> None:
    """Starts the lease's workflow unless it runs: the row says where it goes on. Safe to run by many.

    `changed` has it look at its row now, whether it ran or not.
    """
    await client.start_workflow(
        BURST_LEASE,
        lease_id,
        id=burst_workflow_id(lease_id),
        task_queue=Queue.BURST,
        # One that was terminated, or that failed, goes on: its box may be there.
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        task_timeout=TASK_TIMEOUT,
        search_attributes=TypedSearchAttributes([SearchAttributePair(STATUS, LeaseState.ASKED.value)]),
        static_summary=f"lease {lease_id}",
        start_signal=LEASE_CHANGED if changed else None,
    )


class TemporalLeaseRuns:
    """Implements `activities.leasing_ports.LeaseRuns`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ensure(self, lease_id: str) -> None:
        """See `LeaseRuns`."""
        await ensure_lease(self._client, lease_id)

    async def nudge(self, lease_id: str) -> None:
        """See `LeaseRuns`."""
        await ensure_lease(self._client, lease_id, changed=True)
