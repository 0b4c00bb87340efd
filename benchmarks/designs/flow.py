"""The turn's workflow, in the two forms that are compared: run to the end, or asked by an update."""

from temporalio import workflow
from temporalio.common import Priority

from benchmarks.designs.messages import (
    EFFORT,
    MODEL,
    PATIENCE,
    RUN_LIMIT,
    RUNG,
    STATUS,
    Chat,
    ChatIn,
    ChatOut,
    TurnIn,
)


async def take_turn(turn: TurnIn) -> ChatOut:
    """Ask for the answer on the path that the design names; write down how it went."""
    if turn.ungated_step:
        await workflow.execute_local_activity("estimate", turn.turn_id, start_to_close_timeout=RUN_LIMIT)
    ask = ChatIn(turn_id=turn.turn_id, tenant_id=turn.tenant_id, step=1, reply_to=turn.reply_to)
    if turn.chat == Chat.LOCAL:
        answer = await workflow.execute_local_activity(
            "chat", ask, result_type=ChatOut, start_to_close_timeout=RUN_LIMIT
        )
    else:
        answer = await workflow.execute_activity(
            "chat",
            ask,
            result_type=ChatOut,
            task_queue=turn.chat_queue,
            schedule_to_start_timeout=PATIENCE,
            start_to_close_timeout=RUN_LIMIT,
            priority=Priority(priority_key=1, fairness_key=turn.tenant_id),
        )
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
        [
            STATUS.value_set("answered"),
            RUNG.value_set("orchestrator"),
            MODEL.value_set(answer.model),
            EFFORT.value_set(3),
        ]
    )
    return answer


@workflow.defn(name="turn")
class Turn:
    """Started, answers, closes."""

    @workflow.run
    async def run(self, turn: TurnIn) -> ChatOut:
        return await take_turn(turn)


@workflow.defn(name="asked-turn")
class AskedTurn:
    """Started together with an update, which carries the answer back."""

    def __init__(self) -> None:
        self._answer: ChatOut | None = None

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._answer is not None and workflow.all_handlers_finished())

    @workflow.update
    async def ask(self, turn: TurnIn) -> ChatOut:
        self._answer = await take_turn(turn)
        return self._answer
