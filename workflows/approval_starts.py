"""How an approval's workflow is reached: in one place, whether it runs already or not."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from activities.contracts.approvals import ApprovalRef, ApprovalStatus
from workflows.attributes import STATUS, TENANT
from workflows.names import APPROVAL, APPROVAL_CHANGED, Queue, approval_workflow_id


async def wake_approval(client: Client, ref: ApprovalRef, *, rpc_timeout: timedelta | None = None) -> None:
    """Tells the approval's workflow that something has changed; starts it where there is none."""
    await client.start_workflow(
        APPROVAL,
        ref,
        id=approval_workflow_id(ref.approval_id),
        task_queue=Queue.TURNS,
        # One that has ended has told everybody; another that looks once more changes nothing.
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        start_signal=APPROVAL_CHANGED,
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(TENANT, ref.tenant_id),
                SearchAttributePair(STATUS, ApprovalStatus.OPEN.value),
            ]
        ),
        rpc_timeout=rpc_timeout,
    )
