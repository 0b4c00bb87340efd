"""What each make of server is asked for, in its own words."""

from typing import Any

import pytest

from activities.contracts.backends import Backend, BackendKind, Capability, Dialect, Thinking
from activities.contracts.chat import ChatCall, Message, Role, Sampling, ToolCall
from infra.llm import anthropic_request, openai_request
from infra.llm.dialects import MANNERS
from tests.llm.asking import asking, gather, saying
from tests.support.standin import StandIn

TALK = (
    Message(role=Role.USER, content="2+2?"),
    Message(
        role=Role.ASSISTANT,
        tool_calls=(ToolCall(id="a", name="add", arguments="{}"),),
        reasoning="let me add",
    ),
    Message(role=Role.TOOL, content="4", tool_call_id="a"),
    Message(role=Role.ASSISTANT, content="It is", reasoning="done"),
)


def body(
    dialect: Dialect, call: ChatCall | None = None, thinking: Thinking = Thinking.DEFAULT
) -> dict[str, Any]:
    backend = Backend(name="b", dialect=dialect, thinking=thinking, base_url="http://x", model="m")
    call = call or ChatCall(model="m", messages=TALK[:1], sampling=Sampling(max_tokens=9))
    return openai_request.request_body(call, backend, MANNERS[dialect])


def test_only_openai_counts_the_limit_in_completion_tokens() -> None:
    for dialect in Dialect:
        name = "max_completion_tokens" if dialect is Dialect.OPENAI else "max_tokens"
        assert body(dialect)[name] == 9


def test_what_is_left_open_is_not_sent() -> None:
    call = ChatCall(model="m", messages=TALK[:1])
    for dialect in Dialect:
        assert set(body(dialect, call)) == {"model", "messages", "stream", "stream_options"}


def test_only_deepseek_gets_its_reasoning_back_and_only_with_calls() -> None:
    call = ChatCall(model="m", messages=TALK)
    for dialect in Dialect:
        told = [m.get("reasoning_content") for m in body(dialect, call)["messages"]]
        replayed = dialect is Dialect.DEEPSEEK
        assert told[:4] == [None, "let me add" if replayed else None, None, None]


@pytest.mark.parametrize(
    ("dialect", "thinking", "asked"),
    [
        (Dialect.DEEPSEEK, Thinking.OFF, {"thinking": {"type": "disabled"}}),
        (Dialect.DEEPSEEK, Thinking.MAX, {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        (Dialect.OPENAI, Thinking.OFF, {"reasoning_effort": "none"}),
        (Dialect.OPENAI, Thinking.MAX, {"reasoning_effort": "xhigh"}),
        (Dialect.GEMINI, Thinking.LOW, {"reasoning_effort": "low"}),
        (Dialect.VLLM, Thinking.OFF, {"chat_template_kwargs": {"enable_thinking": False}}),
        (
            Dialect.LLAMACPP,
            Thinking.HIGH,
            {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "high"},
        ),
        (Dialect.GENERIC, Thinking.MAX, {}),
    ],
)
def test_thinking_is_asked_for_in_the_words_of_the_house(
    dialect: Dialect, thinking: Thinking, asked: dict[str, Any]
) -> None:
    plain = body(dialect)
    assert {k: v for k, v in body(dialect, thinking=thinking).items() if k not in plain} == asked


def test_going_on_from_a_text() -> None:
    call = ChatCall(model="m", messages=TALK, continue_final=True)
    for dialect in Dialect:
        asked = body(dialect, call)
        assert asked["messages"][-1]["content"] == "It is"
        assert asked.get("continue_final_message", False) is (dialect is Dialect.VLLM)
        assert asked.get("add_generation_prompt") is (False if dialect is Dialect.VLLM else None)
        assert asked["messages"][-1].get("prefix", False) is (dialect is Dialect.DEEPSEEK)


def test_anthropic_thinks_by_effort_but_not_between_a_call_and_its_result() -> None:
    backend = Backend(
        name="b", kind=BackendKind.ANTHROPIC, thinking=Thinking.HIGH, base_url="http://x", model="m"
    )
    asked = anthropic_request.request_body(ChatCall(model="m", messages=TALK[:1]), backend)
    assert (asked["thinking"], asked["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    asked = anthropic_request.request_body(ChatCall(model="m", messages=TALK[:3]), backend)
    assert asked["thinking"] == {"type": "disabled"} and "output_config" not in asked


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (None, {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "add"}}, {"type": "tool", "name": "add"}),
    ],
)
def test_anthropic_tool_choice(given: Any, asked: dict[str, str]) -> None:
    backend = Backend(name="b", kind=BackendKind.ANTHROPIC, base_url="http://x", model="m")
    sampling = Sampling(tools=({"type": "function", "function": {"name": "add"}},), tool_choice=given)
    call = ChatCall(model="m", messages=TALK[:1], sampling=sampling)
    assert anthropic_request.request_body(call, backend)["tool_choice"] == asked


@pytest.mark.parametrize("dialect", [Dialect.GENERIC, Dialect.LLAMACPP, Dialect.VLLM])
@pytest.mark.parametrize("tokenizer", ["vllm", "llamacpp"])
async def test_tokens_are_counted_where_the_server_does_it(dialect: Dialect, tokenizer: Any) -> None:
    messages = (
        Message(role=Role.SYSTEM, content="be brief"),
        Message(role=Role.USER, content="one two three"),
    )
    able = (Capability.TOKENIZE,)
    async with (
        StandIn(tokenizer=tokenizer) as standin,
        asking(standin, dialect=dialect, capabilities=able) as rung,
    ):
        counts = [await rung.count_tokens(messages) for _ in range(2)]
    # A server that is not what it is said to be is not counted on: the bound is an upper one.
    fits = dialect is Dialect.GENERIC or dialect.value == tokenizer
    assert counts[0] == counts[1]
    assert counts[0] == 11 if fits else counts[0] > 100


async def test_the_sdk_tells_nobody_which_organization_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-private")
    async with StandIn() as standin, asking(standin) as rung:
        await gather(rung.stream(saying("?")))
        assert "private" not in str(standin.calls[-1].headers)
