"""One turn: ask the ladder's rungs until one has answered."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from activities.contracts.topology import Rung
from activities.contracts.turn import (
    ChatResult,
    ChatStep,
    Hop,
    HopOutcome,
    NextTurn,
    TurnEnded,
    TurnEnding,
    TurnError,
    TurnInput,
    TurnOutcome,
    TurnStatus,
)
from workflows.attributes import MODEL, RUNG, STATUS
from workflows.names import CHAT, END_TURN, START_TURN, USER_TURN
from workflows.options import chat_options, store_options
from workflows.policy.fallback import Failure, GiveUp, next_ask


@workflow.defn(name=USER_TURN)
class UserTurnWorkflow:
    """Answers one turn. Its id is `turn/<turn id>`; its history holds ids and numbers, never the text.

    The chat activity that gets the answer records it and tells the client, so the client never waits for this
    workflow to close. Cancelling it cancels the turn; terminating it leaves the row to the sweep.
    """

    def __init__(self) -> None:
        self._route: list[Hop] = []

    @workflow.run
    async def run(self, turn: TurnInput) -> TurnOutcome:
        """Climbs, and closes the turn in whichever way it ended."""
        error: TurnError | None = None
        try:
            result = await self._climb(turn)
        except (asyncio.CancelledError, ActivityError) as cancelled:
            if not is_cancelled_exception(cancelled):
                raise
            ended = await self._end(turn, TurnStatus.CANCELLED)
        else:
            if isinstance(result, TurnError):
                error = result
                ended = await self._end(turn, TurnStatus.FAILED, error)
            else:
                ended = TurnEnded(status=TurnStatus.COMPLETED, next_turn_id=result.next_turn_id)
        if ended.next_turn_id:
            next_turn = NextTurn(turn_id=ended.next_turn_id, tenant_id=turn.tenant_id)
            await workflow.execute_activity(START_TURN, next_turn, **store_options())
        return self._close(ended.status, error)

    async def _climb(self, turn: TurnInput) -> ChatResult | TurnError:
        failures: list[Failure] = []
        while True:
            ask = next_ask(turn.ladder.answer, failures, self._route)
            if isinstance(ask, GiveUp):
                return ask.error
            if ask.pause:
                await workflow.sleep(ask.pause)
            result = await self._ask(turn, ask.rung)
            self._route.append(result.hop)
            if result.ended:
                return result
            if result.hop.outcome is HopOutcome.CANCELLED:
                raise asyncio.CancelledError
            code = result.error.code if result.error else "backend_error"
            failures.append(Failure(rung=ask.rung.name, code=code, retry_after=result.retry_after))

    async def _ask(self, turn: TurnInput, rung: Rung) -> ChatResult:
        step = ChatStep(
            turn_id=turn.turn_id,
            tenant_id=turn.tenant_id,
            step=len(self._route),
            rung=rung,
            route=tuple(self._route),
        )
        asked_at = workflow.time()
        try:
            return await workflow.execute_activity(CHAT, step, result_type=ChatResult, **chat_options(rung))
        except ActivityError as error:
            if not isinstance(error.cause, TimeoutError):
                raise
            return _out_of_patience(step, timedelta(seconds=workflow.time() - asked_at))

    async def _end(self, turn: TurnInput, status: TurnStatus, error: TurnError | None = None) -> TurnEnded:
        ending = TurnEnding(
            turn_id=turn.turn_id,
            tenant_id=turn.tenant_id,
            status=status,
            route=tuple(self._route),
            error=error,
        )
        return await workflow.execute_activity(END_TURN, ending, result_type=TurnEnded, **store_options())

    def _close(self, status: TurnStatus, error: TurnError | None) -> TurnOutcome:
        """Labels the trace, and closes the workflow the way that the turn ended."""
        served = self._route[-1] if self._route and status is TurnStatus.COMPLETED else None
        updates: list[SearchAttributeUpdate[str]] = [STATUS.value_set(status.value)]
        if served:
            updates += [RUNG.value_set(served.rung), MODEL.value_set(served.model_served or served.model)]
        workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType]
        if status is TurnStatus.CANCELLED:
            raise asyncio.CancelledError
        if status is TurnStatus.FAILED and error:
            raise ApplicationError(error.message, type=error.code, non_retryable=True)
        return TurnOutcome(
            status=status,
            rung=served.rung if served else None,
            model=served.model_served if served else None,
            hops=len(self._route),
        )


def _out_of_patience(step: ChatStep, waited: timedelta) -> ChatResult:
    why = (
        f"pool_full: no slot of {step.rung.pool} came free within {step.rung.patience.total_seconds():.0f} s"
    )
    return ChatResult(
        hop=Hop(
            step=step.step,
            rung=step.rung.name,
            pool=step.rung.pool,
            backend=step.rung.backend,
            model=step.rung.model,
            locality=step.rung.locality,
            outcome=HopOutcome.SKIPPED,
            why=why,
            waited_ms=round(waited.total_seconds() * 1000),
        ),
        ended=False,
        error=TurnError(code="pool_full", message=why),
    )
