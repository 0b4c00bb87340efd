"""Going on from a text so far, as long as that leaves room to go on in."""

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any, cast

from activities.answering import Gathering
from activities.attempts import Attempt
from activities.chat import ChatActivities
from activities.contracts.backends import Backend, Capability, Rung
from activities.contracts.chat import ChatCall, ChatChunk, Message, Role
from activities.contracts.records import TurnContext
from activities.contracts.turn import ChatStep, Hop, HopOutcome, TurnStatus

BACKEND = Backend(
    name="b", base_url="http://x/v1", model="m", window_tokens=400, capabilities=(Capability.PREFILL,)
)
RUNG = Rung(
    name="b",
    pool="llm-b",
    backend="b",
    model="m",
    patience=timedelta(seconds=1),
    call_timeout=timedelta(seconds=1),
)


class Counts:
    """A backend whose tokens are words."""

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        yield ChatChunk()


def attempt(words: int, prefix: str) -> Attempt:
    asked = Message(role=Role.USER, content="why " * words)
    return Attempt(
        step=ChatStep(turn_id="t", tenant_id="a", step=1, rung=RUNG),
        backend=BACKEND,
        context=TurnContext(status=TurnStatus.RUNNING, input=(asked,)),
        hop=Hop(step=1, rung="b", pool="p", backend="b", model="m", outcome=HopOutcome.FAILED, why=""),
        events=cast("Any", None),
        gathering=Gathering(prefix),
    )


async def call(of: Attempt, prefix: str) -> ChatCall:
    return await ChatActivities(cast("Any", None))._call(of, Counts(), prefix)


async def test_room_is_not_kept_twice_for_what_is_there_already() -> None:
    prefix = "because " * 60
    of = attempt(words=245, prefix=prefix)
    found = await call(of, prefix)
    assert found.continue_final
    assert of.gathering.text == prefix


async def test_a_text_that_fills_the_window_is_dropped_and_the_answer_starts_over() -> None:
    prefix = "because " * 330
    of = attempt(words=100, prefix=prefix)
    found = await call(of, prefix)
    assert not found.continue_final
    assert [message.role for message in found.messages] == [Role.USER]
    assert of.gathering.text == ""
    assert of.drops
