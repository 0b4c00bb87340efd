"""Asks a card's workflow whether a lease still stands."""

from datetime import timedelta

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.cards import Lease, LeaseRef
from activities.errors import StoreUnavailable
from workflows.names import LEASE_VALID, card_workflow_id

PATIENCE = timedelta(seconds=5)


class CardLeases:
    """Implements `activities.ports.Leases` with a query, which leaves no trace in the card's history."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def stands(self, lease: Lease) -> bool:
        """See `Leases`. A card that is gone holds nobody's lease."""
        handle = self._client.get_workflow_handle(card_workflow_id(lease.card))
        ref = LeaseRef(lease=lease.lease, token=lease.token)
        try:
            return await handle.query(LEASE_VALID, ref, result_type=bool, rpc_timeout=PATIENCE)
        except WorkflowQueryFailedError as error:
            raise StoreUnavailable(f"card {lease.card} cannot tell of its leases") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise StoreUnavailable(f"card {lease.card} cannot be asked: {error.status.name}") from error
