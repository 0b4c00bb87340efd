"""One turn: climb the ladder until an answer stands."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from activities.contracts.policy import Estimate
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
from workflows.agreeing import agreement
from workflows.attributes import EFFORT, MODEL, RUNG, STATUS
from workflows.holding import HoldDenied, hold_lease
from workflows.names import CHAT, END_TURN, ROUTE_TURN, START_TURN, USER_TURN
from workflows.options import chat_options, route_options, store_options
from workflows.policy.climb import Ask, Compose, Fail, Finish, Pause, SeekAgreement, Seen, Skip
from workflows.policy.ladder import begin, decide
from workflows.policy.seen import NO_ROOM, observe
from workflows.policy.steps import (
    cancelled_hop,
    first_sight,
    later_sight,
    left_card,
    left_waiting,
    seen_of,
    sight_after_asking,
    sight_after_waiting,
    skipped_hop,
    step_for,
)
from workflows.policy.urgency import Stage, stages, urgency_of


@workflow.defn(name=USER_TURN)
class UserTurnWorkflow:
    """Answers one turn. Its id is `turn/<turn id>`; its history holds ids and numbers, never the text.

    The chat activity that gets the answer records it and tells the client, so the client never waits for this
    workflow to close. Cancelling it cancels the turn; terminating it leaves the row to the sweep.
    """

    def __init__(self) -> None:
        self._route: list[Hop] = []
        self._results: list[ChatResult] = []

    @workflow.run
    async def run(self, turn: TurnInput) -> TurnOutcome:
        """Climbs, and closes the turn in whichever way it ended."""
        error: TurnError | None = None
        try:
            climbed = await self._climb(await self._routed(turn))
        except (asyncio.CancelledError, ActivityError) as cancelled:
            if not is_cancelled_exception(cancelled):
                raise
            ended = await self._end(turn, TurnStatus.CANCELLED)
        else:
            if isinstance(climbed, TurnError):
                error = climbed
                ended = await self._end(turn, TurnStatus.FAILED, error=error)
            else:
                ended = climbed
        if ended.next_turn_id:
            next_turn = NextTurn(turn_id=ended.next_turn_id, tenant_id=turn.tenant_id)
            await workflow.execute_activity(START_TURN, next_turn, **store_options())
        return self._close(ended.status, error)

    async def _climb(self, turn: TurnInput) -> TurnEnded | TurnError:
        """Does what the ladder decides, and tells it what came of it, until it has decided the end."""
        plan, climb, sight = turn.plan, begin(turn.plan), first_sight(turn)
        while True:
            decision = decide(plan, climb, sight)
            seen: Seen | None = None
            match decision:
                case Ask() | Compose():
                    result = await self._ask(turn, decision)
                    if result.ended:
                        return TurnEnded(status=TurnStatus.COMPLETED, next_turn_id=result.next_turn_id)
                    sight, seen = later_sight(sight, result.barred), seen_of(result)
                case Skip():
                    self._route.append(skipped_hop(decision))
                case Pause(seconds=seconds):
                    await workflow.sleep(timedelta(seconds=seconds))
                    sight = sight_after_waiting(sight, decision.rung.backend)
                case SeekAgreement():
                    asked_at = workflow.time()
                    seen = await agreement(turn, decision)
                    sight = sight_after_asking(sight, workflow.time() - asked_at)
                case Finish(answer_step=step):
                    return await self._end(turn, TurnStatus.COMPLETED, answer_step=step)
                case Fail(code=code, why=why):
                    return TurnError(code=code, message=why)
            climb = observe(plan, climb, decision, seen)

    async def _routed(self, turn: TurnInput) -> TurnInput:
        """The turn with the effort that the router gives it, where one is to be asked and answers in time."""
        ask = turn.router
        if ask is None:
            return turn
        try:
            estimate = await workflow.execute_activity(
                ROUTE_TURN, ask, result_type=Estimate, **route_options(ask.rung)
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return turn
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [EFFORT.value_set(estimate.effort)]
        )
        return replace(turn, plan=replace(turn.plan, effort=estimate.effort), effort_why=estimate.effort_why)

    async def _ask(self, turn: TurnInput, decision: Ask | Compose) -> ChatResult:
        step = step_for(turn, decision, self._results, self._route)
        waits = stages(urgency_of(turn.priority, decision), decision.rung.patience, turn.plan.aging)
        result = await self._held(turn, step, waits)
        self._route.append(result.hop)
        self._results.append(result)
        if result.hop.outcome is HopOutcome.CANCELLED and not result.ended:
            raise asyncio.CancelledError
        return result

    async def _held(self, turn: TurnInput, step: ChatStep, waits: tuple[Stage, ...]) -> ChatResult:
        """Asks while the rung's model is held on its card, where it has one; leaves the rung if it cannot be."""
        rung = step.rung
        if rung.card is None:
            return await self._chat(turn, step, waits)
        try:
            async with hold_lease(
                rung.card,
                resident=rung.resident,
                priority=waits[0].priority,
                patience=rung.patience,
                tenant_id=turn.tenant_id,
            ) as lease:
                held = replace(step, lease=lease, waited_ms=lease.waited_ms)
                return await self._chat(turn, held, waits)
        except HoldDenied as denied:
            # A call that was cut off with its lease is told once, by why it was.
            self._route = [hop for hop in self._route if hop.step != step.step]
            hop = left_card(step, denied.denial, denied.why, denied.waited)
            return ChatResult(hop=hop, ended=False, error=TurnError(code=denied.denial, message=denied.why))

    async def _chat(self, turn: TurnInput, step: ChatStep, waits: tuple[Stage, ...]) -> ChatResult:
        """Waits for the pool in stages, each queued anew; leaves the rung when the last one is over."""
        asked_at = workflow.time()
        for stage in waits:
            waited = replace(step, waited_ms=step.waited_ms + round((workflow.time() - asked_at) * 1000))
            try:
                return await workflow.execute_activity(
                    CHAT, waited, result_type=ChatResult, **chat_options(turn, step.rung, stage)
                )
            except (asyncio.CancelledError, ActivityError) as error:
                if is_cancelled_exception(error):
                    # Also where its result has just come: Temporal drops that in favour of the cancel.
                    self._route.append(cancelled_hop(waited))
                if not isinstance(error, ActivityError) or not isinstance(error.cause, TimeoutError):
                    raise
        hop = left_waiting(step, workflow.time() - asked_at, waits)
        return ChatResult(hop=hop, ended=False, error=TurnError(code=NO_ROOM, message=hop.why))

    async def _end(
        self,
        turn: TurnInput,
        status: TurnStatus,
        *,
        error: TurnError | None = None,
        answer_step: int | None = None,
    ) -> TurnEnded:
        ending = TurnEnding(
            turn_id=turn.turn_id,
            tenant_id=turn.tenant_id,
            status=status,
            route=tuple(self._route),
            error=error,
            answer_step=answer_step,
        )
        return await workflow.execute_activity(END_TURN, ending, result_type=TurnEnded, **store_options())

    def _close(self, status: TurnStatus, error: TurnError | None) -> TurnOutcome:
        """Labels the trace, and closes the workflow the way that the turn ended."""
        answered = [hop for hop in self._route if hop.outcome is HopOutcome.ANSWERED]
        served = answered[-1] if answered and status is TurnStatus.COMPLETED else None
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
