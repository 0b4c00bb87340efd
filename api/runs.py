"""The durable side of turns, as the API uses it: their workflows are started and cancelled here."""

import asyncio
import logging
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.turn import TurnInput
from workflows.names import turn_workflow_id
from workflows.starts import start_turn

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
MOST_OVERDUE = 1000


class TurnRuns(Protocol):
    """Starts and cancels turns' workflows. Neither raises: an accepted turn is safe without them."""

    async def start(self, turn: TurnInput) -> None:
        """Starts the turn's workflow if Temporal answers in time; the workers' sweep starts the others."""
        ...

    async def cancel(self, turn_id: str) -> bool:
        """Asks the turn's workflow to cancel itself; False where there is none that could be asked."""
        ...

    async def healthy(self) -> bool:
        """Whether Temporal answers."""
        ...


class TemporalRuns:
    """Implements `TurnRuns`.

    A start that takes longer than `PATIENCE_S` goes on behind its request; while any is overdue, later ones
    are not waited for, so that a Temporal that is away slows no request down.
    """

    def __init__(self, client: Client, *, lifetime: timedelta) -> None:
        self._client = client
        self._lifetime = lifetime
        self._overdue: set[asyncio.Task[None]] = set()

    async def start(self, turn: TurnInput) -> None:
        """See `TurnRuns`."""
        if len(self._overdue) >= MOST_OVERDUE:
            return
        task = asyncio.create_task(self._start(turn))
        await asyncio.wait((task,), timeout=0 if self._overdue else PATIENCE_S)
        if not task.done():
            log.warning("Temporal is slow to start turn %s; not waited for", turn.turn_id)
            self._overdue.add(task)
            task.add_done_callback(self._overdue.discard)

    async def _start(self, turn: TurnInput) -> None:
        try:
            await start_turn(self._client, turn, lifetime=self._lifetime)
        except Exception as error:
            # The turn is stored, so whatever went wrong here, the sweep starts it.
            log.warning("turn %s is left to the sweep: %s: %s", turn.turn_id, type(error).__name__, error)

    async def cancel(self, turn_id: str) -> bool:
        """See `TurnRuns`."""
        handle = self._client.get_workflow_handle(turn_workflow_id(turn_id))
        try:
            await asyncio.wait_for(handle.cancel(), PATIENCE_S)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                log.warning("turn %s could not be cancelled in Temporal: %s", turn_id, error)
            return False
        except (TimeoutError, RuntimeError, OSError) as error:
            log.warning("turn %s could not be cancelled in Temporal: %s", turn_id, error)
            return False
        return True

    async def healthy(self) -> bool:
        """See `TurnRuns`."""
        try:
            return await self._client.service_client.check_health(timeout=timedelta(seconds=1))
        except (RPCError, RuntimeError, OSError):
            return False
