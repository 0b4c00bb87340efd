"""Starting a turn's workflow from its row: for turns that waited, and for those that were never started."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.topology import Topology
from activities.contracts.turn import TurnEnding, TurnError, TurnStatus
from activities.ports import Seats, StartOutcome
from infra.postgres.turns import PostgresTurns
from infra.settings import Settings
from workflows.names import turn_workflow_id
from workflows.policy.models import ladder_for
from workflows.policy.plans import turn_input
from workflows.starts import start_turn


class RowTurnStarter:
    """Implements `activities.ports.TurnStarter`."""

    def __init__(
        self,
        client: Client,
        turns: PostgresTurns,
        topology: Topology,
        settings: Settings,
        seats: Seats,
    ) -> None:
        self._seats = seats
        self._client = client
        self._turns = turns
        self._topology = topology
        self._settings = settings

    async def start(self, tenant_id: str, turn_id: str) -> StartOutcome:
        """See `TurnStarter`. A turn whose model is no longer configured is ended as failed."""
        row = await self._turns.start_of(tenant_id, turn_id, self._settings.history_preview_chars)
        if row.status is not TurnStatus.RUNNING:
            return StartOutcome.RUNNING
        ladder = ladder_for(self._topology, row.model)
        if ladder is None:
            await self._end_unknown_model(tenant_id, turn_id, row.model)
            return StartOutcome.STARTED
        turn = turn_input(
            self._topology,
            ladder,
            row,
            tenant_id=tenant_id,
            turn_id=turn_id,
            barred=self._seats.barred(),
        )
        lifetime = timedelta(seconds=self._settings.turn_timeout_seconds)
        if await start_turn(self._client, turn, lifetime=lifetime):
            return StartOutcome.STARTED
        return StartOutcome.RUNNING if await self._runs(turn_id) else StartOutcome.CLOSED

    async def _runs(self, turn_id: str) -> bool:
        try:
            description = await self._client.get_workflow_handle(turn_workflow_id(turn_id)).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING

    async def _end_unknown_model(self, tenant_id: str, turn_id: str, model: str) -> None:
        error = TurnError(
            code="model_not_found", message=f"{model} is not configured any more; ask for another model"
        )
        await self._turns.end_turn(
            TurnEnding(tenant_id=tenant_id, turn_id=turn_id, status=TurnStatus.FAILED, error=error)
        )
