"""The workers' side of approvals: their ports, wired, and how their workflows are reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client

from activities.approval_ports import Announcer, Postman
from activities.approving import ApprovalActivities, ApprovalPorts
from activities.contracts.approvals import ApprovalRef, Surface
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.database import Database
from infra.postgres.webhooks import PostgresWebhooks
from workflows.approval_starts import wake_approval

PATIENCE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class TemporalApprovals:
    """Implements `activities.approval_ports.ApprovalStarter`."""

    client: Client

    async def wake(self, ref: ApprovalRef) -> None:
        """See `ApprovalStarter`."""
        await wake_approval(self.client, ref, rpc_timeout=PATIENCE)


def approving(
    client: Client,
    database: Database,
    postman: Postman,
    announcers: Mapping[Surface, Announcer] | None = None,
) -> ApprovalActivities:
    """The activities of approvals over open connections. `announcers`: the surfaces beside webhooks."""
    return ApprovalActivities(
        ApprovalPorts(
            store=PostgresApprovals(database),
            outbox=PostgresWebhooks(database),
            postman=postman,
            starter=TemporalApprovals(client),
            announcers=dict(announcers or {}),
        )
    )
