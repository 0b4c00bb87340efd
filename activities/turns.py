"""What happens to turns beside being answered: ending without an answer, starting, being looked after."""

from collections.abc import Mapping
from typing import Any

from temporalio import activity

from activities.contracts.events import EventKind
from activities.contracts.turn import NextTurn, TurnEnded, TurnEnding, TurnError, TurnStatus
from activities.errors import AitherError, to_application_error
from activities.hops import END_EVENTS
from activities.ports import EventChannel, EventWriter, StartOutcome, TurnStarter, TurnStore

SWEEP_LIMIT = 200


class TurnActivities:
    """`end-turn`, `start-turn` and `sweep-turns`, on the queue of the turns' workflows."""

    def __init__(self, store: TurnStore, events: EventChannel, starter: TurnStarter) -> None:
        self._store = store
        self._events = events
        self._starter = starter

    @activity.defn(name="end-turn")
    async def end_turn(self, ending: TurnEnding) -> TurnEnded:
        """Records the turn's end unless it has one, and tells its client."""
        try:
            return await self._end(ending)
        except AitherError as error:
            raise to_application_error(error) from error

    @activity.defn(name="start-turn")
    async def start_turn(self, turn: NextTurn) -> None:
        """Starts a turn that waited for an earlier one of its conversation."""
        try:
            await self._starter.start(turn.tenant_id, turn.turn_id)
        except AitherError as error:
            raise to_application_error(error) from error

    @activity.defn(name="sweep-turns")
    async def sweep_turns(self) -> int:
        """Starts turns whose workflow never started, and ends those whose workflow is gone; returns how many.

        A turn is due when its row says that it runs: the API may have died between storing it and starting
        it, or an operator may have terminated its workflow.
        """
        mended = 0
        try:
            for due in await self._store.due_turns(SWEEP_LIMIT):
                activity.heartbeat()
                outcome = await self._starter.start(due.tenant_id, due.turn_id)
                if outcome is StartOutcome.CLOSED:
                    error = TurnError(
                        code="workflow_closed",
                        message="the turn's workflow was terminated or ran out of time; ask again",
                    )
                    ended = await self._end(
                        TurnEnding(
                            tenant_id=due.tenant_id,
                            turn_id=due.turn_id,
                            status=TurnStatus.FAILED,
                            error=error,
                        )
                    )
                    if ended.next_turn_id:
                        await self._starter.start(due.tenant_id, ended.next_turn_id)
                mended += outcome is not StartOutcome.RUNNING
        except AitherError as error:
            raise to_application_error(error) from error
        return mended

    async def _end(self, ending: TurnEnding) -> TurnEnded:
        recorded = await self._store.end_turn(ending)
        async with self._events.writer(ending.turn_id) as events:
            if recorded.status is TurnStatus.COMPLETED and ending.answer_step is not None:
                _tell_anew(events, ending.answer_step, recorded.turn)
            events.emit(END_EVENTS[recorded.status], recorded.turn)
        return TurnEnded(status=recorded.status, next_turn_id=recorded.next_turn_id)


def _tell_anew(events: EventWriter, step: int, turn: Mapping[str, Any]) -> None:
    """Another answer than the one told last goes out: the client drops that one, and gets this one whole."""
    answer = turn["answer"]
    why = "nothing better came than this answer"
    events.emit(EventKind.HOP_RESTARTED, {"step": step, "why": why, "offset": 0})
    token: dict[str, Any] = {"text": answer["text"], "offset": 0}
    if answer["tool_calls"]:
        token["tool_calls"] = [{"index": i, **call} for i, call in enumerate(answer["tool_calls"])]
    events.emit(EventKind.TOKEN, token)
