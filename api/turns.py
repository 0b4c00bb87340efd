"""Turns as the API's edges use them: accept, wait, follow, cancel. All of its endpoints share this."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

from redis.exceptions import RedisError

from activities.contracts.agents import Agent
from activities.contracts.events import TurnEvent
from activities.contracts.policy import Barred
from activities.contracts.topology import Topology
from activities.contracts.turn import TurnEnding, TurnStatus
from activities.errors import TurnNotFound
from api.asking import AcceptedTurn, TurnRequest
from api.following import Batches, Follower, has_ended
from api.intake import climbed_model, ladder_of, new_turn, no_conversation, start_of
from api.policies import no_agent
from api.problems import FieldError, Problem
from api.relay import ENDS
from api.runs import TurnRuns
from infra.ids import is_id
from infra.postgres.agents import AgentNotFound, PostgresAgents
from infra.postgres.keys import Caller
from infra.postgres.turns import AcceptOutcome, PostgresTurns
from infra.redis_events import RedisEvents
from infra.telemetry.subject import about
from workflows.policy.models import ladder_for
from workflows.policy.plans import turn_input

__all__ = ["AcceptedTurn", "TurnRequest", "Turns"]

log = logging.getLogger(__name__)

CANCEL_PATIENCE_S = 2.0
"""How long a cancelled turn is given to stop before its view is returned as it is."""
MOST_REMEMBERED = 20_000
NO_TURN = "there is no turn of that id; GET /v1/turns lists those there are"


class Turns:
    """Accepts turns durably and follows them to their end."""

    def __init__(
        self,
        rows: PostgresTurns,
        events: RedisEvents,
        runs: TurnRuns,
        topology: Topology,
        follower: Follower,
        *,
        agents: PostgresAgents,
        preview_chars: int,
        barred: Callable[[], tuple[Barred, ...]] = tuple,
    ) -> None:
        self._rows = rows
        self._events = events
        self._runs = runs
        self._topology = topology
        self._follower = follower
        self._agents = agents
        self._preview_chars = preview_chars
        self._barred = barred
        self._owners: dict[str, str] = {}

    async def accept(self, caller: Caller, request: TurnRequest) -> AcceptedTurn:
        """Stores the turn and starts its workflow. Once this returns, the turn will come to an end.

        Raises a `Problem` for a request that cannot be served; nothing is stored then.
        """
        ladder = ladder_of(self._topology, climbed_model(caller, request.model))
        agent = await self._agent(caller, request.agent)
        turn = new_turn(caller, request, ladder, self._topology, agent)
        accepted = await self._rows.accept(turn)
        if accepted.outcome is AcceptOutcome.CONFLICT:
            raise Problem(
                "idempotency_conflict",
                "this Idempotency-Key came with another body before; send a new key for a new request",
                FieldError(field="Idempotency-Key", message="was used for another request"),
            )
        if accepted.outcome is AcceptOutcome.NO_CONVERSATION:
            raise no_conversation(request.conversation_id)
        turn_id = accepted.turn_id
        before = accepted.outcome is not AcceptOutcome.ACCEPTED
        about(turn_id=turn_id, tenant_id=caller.tenant_id, before=before)
        self._remember(turn_id, caller.tenant_id)
        if accepted.status is TurnStatus.RUNNING:
            start = start_of(caller, turn, request.messages, self._preview_chars)
            await self._runs.start(
                turn_input(
                    self._topology,
                    ladder,
                    start,
                    tenant_id=caller.tenant_id,
                    turn_id=turn_id,
                    barred=self._barred(),
                )
            )
        if accepted.outcome is AcceptOutcome.ACCEPTED:
            return AcceptedTurn(turn_id=turn_id, conversation_id=turn.conversation_id, status=accepted.status)
        view = await self.get(caller, turn_id)
        return AcceptedTurn(
            turn_id=turn_id,
            conversation_id=view["conversation_id"],
            replayed=True,
            status=TurnStatus(view["status"]),
            view=view,
        )

    async def get(self, caller: Caller, turn_id: str) -> dict[str, Any]:
        """The turn as it stands. Raises `TurnNotFound`, also for another tenant's."""
        view = await self._rows.view(caller.tenant_id, turn_id) if is_id("turn", turn_id) else None
        if view is None:
            raise TurnNotFound(NO_TURN)
        return view

    async def wait(self, caller: Caller, turn_id: str, seconds: float) -> dict[str, Any] | None:
        """The turn once it has ended (view without `input`), or None when it has not in time."""
        if self._owners.get(turn_id) != caller.tenant_id:
            view = await self.get(caller, turn_id)
            if has_ended(view):
                del view["input"]
                return view
        return await self._follower.end(caller.tenant_id, turn_id, seconds)

    async def events(self, caller: Caller, turn_id: str, after: str | None) -> AsyncGenerator[TurnEvent]:
        """The turn's events after the id `after`, to its end; works after the end and without Redis.

        A reader that drops its text at `hop.restarted` and appends tokens ends up with the answer.
        """
        batches = await self.batches(caller, turn_id, after)
        if batches is not None:
            try:
                async for batch in batches:
                    for event in batch:
                        yield event
            finally:
                await batches.aclose()

    async def batches(self, caller: Caller, turn_id: str, after: str | None) -> Batches | None:
        """The same, in batches; None where `after` was the last event. Raises `TurnNotFound` at once."""
        if not is_id("turn", turn_id):
            raise TurnNotFound(NO_TURN)
        return await self._follower.follow(caller.tenant_id, turn_id, after)

    async def page(
        self,
        caller: Caller,
        *,
        before: str | None,
        limit: int,
        status: TurnStatus | None,
        conversation_id: str | None,
        job_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Up to `limit` turns with ids below `before`, newest first, without their inputs."""
        return await self._rows.page(
            caller.tenant_id,
            before=before,
            limit=limit,
            status=status,
            conversation_id=conversation_id,
            job_id=job_id,
        )

    async def cancel(self, caller: Caller, turn_id: str) -> dict[str, Any]:
        """Cancels the turn unless it has ended; the view that stands.

        A turn that runs is given a moment to stop: its view may say that it is running still.
        """
        view = await self.get(caller, turn_id)
        if has_ended(view):
            return view
        if view["status"] == TurnStatus.RUNNING and await self._runs.cancel(turn_id):
            await self._announce_cancel(turn_id)
            await self._follower.end(caller.tenant_id, turn_id, CANCEL_PATIENCE_S)
        else:
            await self._announce_cancel(turn_id)
            await self._end_cancelled(caller.tenant_id, turn_id)
        return await self.get(caller, turn_id)

    async def _end_cancelled(self, tenant_id: str, turn_id: str) -> None:
        """Ends a turn that no workflow will end, tells who follows it, and starts whoever waited for it."""
        recorded = await self._rows.end_turn(
            TurnEnding(turn_id=turn_id, tenant_id=tenant_id, status=TurnStatus.CANCELLED)
        )
        async with self._events.writer(turn_id) as writer:
            writer.emit(ENDS[recorded.status], recorded.turn)
        if recorded.next_turn_id:
            await self._start_waiting(tenant_id, recorded.next_turn_id)

    async def _start_waiting(self, tenant_id: str, turn_id: str) -> None:
        row = await self._rows.start_of(tenant_id, turn_id, self._preview_chars)
        ladder = ladder_for(self._topology, row.model)
        # A turn whose model is gone is ended by the workers' sweep, which says so.
        if ladder is not None and row.status is TurnStatus.RUNNING:
            turn = turn_input(
                self._topology, ladder, row, tenant_id=tenant_id, turn_id=turn_id, barred=self._barred()
            )
            await self._runs.start(turn)

    async def _agent(self, caller: Caller, name: str | None) -> Agent | None:
        """The newest version of the agent that is asked for. Raises a 404 `Problem`."""
        if name is None:
            return None
        try:
            return await self._agents.get(caller.tenant_id, name)
        except AgentNotFound:
            raise no_agent(name) from None

    async def _announce_cancel(self, turn_id: str) -> None:
        """Tells the workers at once. Without Redis they learn of it with their next heartbeat."""
        try:
            async with asyncio.timeout(1):
                await self._events.announce_cancel(turn_id)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("the cancel of turn %s is not announced: %s", turn_id, type(error).__name__)

    def _remember(self, turn_id: str, tenant_id: str) -> None:
        """Whose turn it is, so that waiting for it costs no look at its row."""
        if len(self._owners) >= MOST_REMEMBERED:
            self._owners.clear()
        self._owners[turn_id] = tenant_id
