"""Leases as the API asks for, shows and ends them. The rows are the truth; the workflows are told of changes."""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError

from activities.contracts.bursting import Burst, Reaped
from activities.contracts.lease_views import EndCode, LeaseAsk, LeaseEvent, LeaseView, Spending
from activities.contracts.leases import Purpose
from api.problems import FieldError, Problem
from api.saturation import AWAY
from infra.ids import new_id
from infra.postgres.leases import PostgresLeases
from workflows.burst_starts import ensure_lease
from workflows.names import REAP_LEASES, Queue

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
SWEEP_S = 60.0


class Leases:
    """Raises `StoreUnavailable` and `LeaseNotFound`."""

    def __init__(self, burst: Burst, rows: PostgresLeases, client: Client) -> None:
        self.burst = burst
        self._rows = rows
        self._client = client

    async def ask(self, purpose: Purpose, why: str, asked_by: str) -> LeaseView:
        """Records that a lease is wanted, and starts it. Raises a 409 `Problem` where burst is off."""
        plan = self.burst.plan(purpose)
        if not self.burst.enabled:
            raise Problem(
                "burst_off", "burst is switched off; [burst] enabled = true in aither.toml turns it on"
            )
        if plan is None:
            there = ", ".join(each.purpose for each in self.burst.plans) or "none"
            raise Problem(
                "burst_off",
                f"nothing is configured for {purpose}; there is: {there}",
                FieldError(field="purpose", message=f"there is no [burst.{purpose}]"),
            )
        ask = LeaseAsk(id=new_id("lease"), plan=plan, asked_by=asked_by, why=why)
        await self._rows.ask(ask)
        await self._tell(ask.id)
        return await self._rows.lease(ask.id)

    async def end(self, lease_id: str, why: str, asked_by: str) -> LeaseView:
        """Has the lease drain and end; one that has ended stays as it is."""
        await self._rows.want_end(lease_id, EndCode.CANCELLED, why or f"ended by {asked_by}", asked_by)
        await self._tell(lease_id)
        return await self._rows.lease(lease_id)

    async def one(self, lease_id: str) -> tuple[LeaseView, tuple[LeaseEvent, ...]]:
        """The lease, and what happened to it."""
        return await self._rows.lease(lease_id), await self._rows.events(lease_id)

    async def list(self, limit: int, *, only_open: bool) -> tuple[tuple[LeaseView, ...], Spending]:
        """The newest leases, and what all have cost."""
        return await self._rows.newest(limit, only_open=only_open), await self._rows.spending()

    async def sweep(self, *, dry_run: bool) -> Reaped:
        """Has the reaper look now. Raises a 503 `Problem` where Temporal or the workers are away."""
        try:
            async with asyncio.timeout(SWEEP_S):
                return await self._client.execute_workflow(
                    REAP_LEASES,
                    dry_run,
                    id=f"{REAP_LEASES}/{new_id('sweep')}",
                    task_queue=Queue.BURST,
                    result_type=Reaped,
                    execution_timeout=timedelta(seconds=SWEEP_S),
                )
        except (*AWAY, WorkflowFailureError):
            raise Problem(
                "scheduler_unavailable",
                "the reaper did not answer; are the workers up? The schedule reap-leases looks by itself",
                headers={"Retry-After": "5"},
            ) from None

    async def _tell(self, lease_id: str) -> None:
        """The lease's workflow looks at its row now; the reaper tells it where this fails."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await ensure_lease(self._client, lease_id, changed=True)
        except AWAY as error:
            log.warning("lease %s is left to the reaper: %s", lease_id, type(error).__name__)
