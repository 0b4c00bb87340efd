"""Any conversation becomes one that the provider accepts, and nothing that was said is lost."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.backends import Backend, Dialect
from activities.contracts.chat import ChatCall, Message, Role, ToolCall
from infra.llm import anthropic_request, openai_request
from infra.llm.dialects import MANNERS
from infra.llm.normalise import strictly_alternating, user_first
from tests.llm.asking import asking, gather
from tests.llm.conversations import heaps, spoken
from tests.support.standin import StandIn
from tests.support.standin_rules import anthropic_refusal, deepseek_refusal

DEEPSEEK = Backend(name="deepseek", dialect=Dialect.DEEPSEEK, base_url="http://x", model="m")
WORDED = re.compile(r"<(\d+)>")


def deepseek_body(messages: tuple[Message, ...], *, continues: bool = False) -> dict[str, Any]:
    call = ChatCall(model="m", messages=messages, continue_final=continues)
    return openai_request.request_body(call, DEEPSEEK, MANNERS[Dialect.DEEPSEEK])


def anthropic_body(messages: tuple[Message, ...], *, continues: bool = False) -> dict[str, Any]:
    call = ChatCall(model="m", messages=messages, continue_final=continues)
    return anthropic_request.request_body(call, DEEPSEEK)


def has_words(messages: tuple[Message, ...]) -> bool:
    return any(m.content.strip() for m in messages if m.role is not Role.TOOL)


@given(st.one_of(spoken(), heaps().filter(has_words)), st.booleans())
def test_deepseek_accepts_it(messages: tuple[Message, ...], continues: bool) -> None:
    assert deepseek_refusal(deepseek_body(messages, continues=continues)) is None


@given(st.one_of(spoken(), heaps().filter(has_words)), st.booleans())
def test_anthropic_accepts_it(messages: tuple[Message, ...], continues: bool) -> None:
    assert anthropic_refusal(anthropic_body(messages, continues=continues)) is None


@given(spoken())
def test_nothing_is_lost_or_said_twice_and_the_order_stays(messages: tuple[Message, ...]) -> None:
    said = [m.content for m in messages if m.role is not Role.TOOL and m.content]
    results = sorted(m.content for m in messages if m.role is Role.TOOL)
    for body in (deepseek_body(messages), anthropic_body(messages)):
        sent = _texts(body)
        assert [f"<{n}>" for text in sent if "=" not in text for n in WORDED.findall(text)] == said
        assert sorted(text for text in sent if "=" in text) == results


def _texts(body: dict[str, Any]) -> list[str]:
    texts = [body.get("system", "")]
    for message in body["messages"]:
        content = message["content"] or ""
        blocks: list[dict[str, Any]] = [{"text": content}] if isinstance(content, str) else content
        texts += [block.get("text") or block.get("content") or "" for block in blocks]
    return [text for text in texts if text]


@given(spoken())
def test_every_result_stays_with_its_call(messages: tuple[Message, ...]) -> None:
    asked: list[str] = []
    for message in deepseek_body(messages)["messages"]:
        if message["role"] == "tool":
            assert message["content"].startswith(f"{asked.pop(0)}=")
        else:
            asked = [call["id"] for call in message.get("tool_calls", [])]
    given_ids: dict[str, str] = {}
    for message in anthropic_body(messages)["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_use":
                given_ids[block["id"]] = re.sub(r"_\d$", "", block["id"])
            elif block["type"] == "tool_result":
                original = block["content"].partition("=")[0]
                cleaned = re.sub(r"[^a-zA-Z0-9_-]", "_", original) or "call"
                assert block["tool_use_id"].startswith(cleaned) and block["tool_use_id"] in given_ids


@given(st.one_of(spoken(), heaps()), st.booleans())
def test_twice_is_as_once(messages: tuple[Message, ...], continues: bool) -> None:
    for normalise in (strictly_alternating, user_first):
        once = normalise(messages, continues=continues)
        assert normalise(once, continues=continues) == once


@given(heaps())
@pytest.mark.parametrize(
    "dialect", [Dialect.GENERIC, Dialect.VLLM, Dialect.LLAMACPP, Dialect.OPENAI, Dialect.GEMINI]
)
def test_everyone_else_gets_it_untouched(dialect: Dialect, messages: tuple[Message, ...]) -> None:
    assert MANNERS[dialect].normalise(messages) == messages


def test_a_result_belongs_to_the_latest_call_of_its_id() -> None:
    call = ToolCall(id="call_0", name="f", arguments="{}")
    messages = (
        Message(role=Role.USER, content="a"),
        Message(role=Role.ASSISTANT, content="lost its result", tool_calls=(call,)),
        Message(role=Role.USER, content="b"),
        Message(role=Role.ASSISTANT, tool_calls=(call,)),
        Message(role=Role.TOOL, content="4", tool_call_id="call_0"),
    )
    first, second = (m for m in strictly_alternating(messages) if m.role is Role.ASSISTANT)
    assert (first.tool_calls, second.tool_calls) == ((), (call,))


async def test_the_stand_in_refuses_as_deepseek_would() -> None:
    messages = (Message(role=Role.USER, content="a"), Message(role=Role.USER, content="b"))
    async with StandIn(refuses=deepseek_refusal) as standin:
        async with asking(standin, dialect=Dialect.DEEPSEEK) as rung:
            got = await gather(rung.stream(ChatCall(model="m", messages=messages)))
            assert got.text == "a\n\nb"
        async with asking(standin, dialect=Dialect.VLLM) as rung:
            with pytest.raises(Exception, match="successive user messages"):
                await gather(rung.stream(ChatCall(model="m", messages=messages)))
