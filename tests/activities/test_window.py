"""What is kept of a conversation that does not fit."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.chat import Message, Role, ToolCall
from activities.errors import ContextTooLong
from activities.window import fit, upper_bound

words = st.text(alphabet="ab ", min_size=1, max_size=40)


def said(role: Role, content: str) -> Message:
    return Message(role=role, content=content)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A user message, perhaps a tool's call and result, perhaps an answer."""
    found = [said(Role.USER, draw(words))]
    if draw(st.booleans()):
        call = ToolCall(id="c1", name="look", arguments="{}")
        found.append(Message(role=Role.ASSISTANT, tool_calls=(call,)))
        found.append(Message(role=Role.TOOL, content=draw(words), tool_call_id="c1"))
    if draw(st.booleans()):
        found.append(said(Role.ASSISTANT, draw(words)))
    return found


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    system = [said(Role.SYSTEM, text) for text in draw(st.lists(words, max_size=2))]
    rest = [m for exchange in draw(st.lists(exchanges(), max_size=12)) for m in exchange]
    return (*system, *rest, said(Role.USER, draw(words)))


async def count(messages: Sequence[Message]) -> int:
    return sum(len(m.content.split()) + 3 for m in messages)


@given(conversations(), st.integers(0, 400))
async def test_what_is_kept_fits_and_is_the_newest_part(messages: tuple[Message, ...], budget: int) -> None:
    try:
        kept = await fit(messages, budget, count)
    except ContextTooLong:
        system = [m for m in messages if m.role is Role.SYSTEM]
        assert await count([*system, messages[-1]]) > budget
        return
    assert await count(kept) <= budget
    system = tuple(m for m in messages if m.role is Role.SYSTEM)
    assert kept[: len(system)] == system
    rest = kept[len(system) :]
    assert messages[len(messages) - len(rest) :] == rest
    assert rest[0].role is Role.USER, "an exchange is kept whole: no result without its call"
    assert rest[-1] == messages[-1]
    starts = [i for i in range(len(messages)) if messages[i].role is Role.USER]
    dropped = [i for i in starts if i < len(messages) - len(rest)]
    if dropped:
        longer = (*system, *messages[dropped[-1] :])
        assert await count(longer) > budget, "one exchange more would have fitted"


async def test_nothing_is_counted_while_the_bytes_alone_fit() -> None:
    async def never(_: Sequence[Message]) -> int:
        raise AssertionError("counted")

    messages = (said(Role.USER, "hello"),)
    assert await fit(messages, upper_bound(messages), never) == messages


async def test_a_newest_message_that_cannot_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextTooLong, match=r"need 203 tokens, 100 fit"):
        await fit((said(Role.USER, "word " * 200),), 100, count)
