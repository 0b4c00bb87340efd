"""The adapter against a real model behind a real llama.cpp server."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from activities.contracts.backends import Backend, Capability, Dialect
from activities.contracts.chat import ChatCall, FinishReason, Message, Role, Sampling, ToolCall
from activities.contracts.topology import Topology
from activities.errors import ContextTooLong
from activities.ports import ChatBackend
from infra.llm.backends import open_backends
from infra.llm.tokens import upper_bound
from tests.llm.asking import gather
from tests.llm.smollm import MODEL, real_model

pytestmark = pytest.mark.stack

QUESTION = Message(role=Role.USER, content="Name the capital of France in one short sentence.")
TEXTS = (
    "",
    "hi",
    "naïve café – “quoted”",
    "東京は日本の首都です。",
    "🙂👩‍👩‍👧",
    "ﷺ ﷽ Ⅷ",
    "def f(x):\n\treturn x" * 3,
    "<|im_end|>",
)


@pytest.fixture(scope="module")
async def rung() -> AsyncIterator[ChatBackend]:
    async with real_model() as origin:
        backend = Backend(
            name="orchestrator",
            dialect=Dialect.LLAMACPP,
            base_url=f"{origin}/v1",
            model=MODEL,
            capabilities=(Capability.TOKENIZE, Capability.PREFILL),
        )
        async with open_backends(Topology(backends=(backend,), ladders=()), {}) as backends:
            yield backends["orchestrator"]


def call(*messages: Message, continues: bool = False, **sampling: Any) -> ChatCall:
    options: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24} | sampling
    return ChatCall(model=MODEL, messages=messages, sampling=Sampling(**options), continue_final=continues)


async def test_it_answers_and_counts(rung: ChatBackend) -> None:
    got = await gather(rung.stream(call(QUESTION)))
    assert "Paris" in got.text
    assert got.finish == [FinishReason.STOP]
    assert got.model == MODEL
    [usage] = got.usage
    assert 0 < usage.completion_tokens <= 24
    assert usage.prompt_tokens == await rung.count_tokens([QUESTION])


async def test_tokens_are_counted_as_the_server_does_and_never_exceed_the_bound(rung: ChatBackend) -> None:
    asked = ToolCall(id="a", name="look", arguments='{"at": "it"}')
    conversations = [
        [Message(role=Role.SYSTEM, content=text), Message(role=Role.USER, content=text)] for text in TEXTS
    ]
    conversations.append([QUESTION])  # to which the template adds a system message of its own
    conversations.append(
        [
            QUESTION,
            Message(role=Role.ASSISTANT, tool_calls=(asked,)),
            Message(role=Role.TOOL, content="here", tool_call_id="a"),
        ]
    )
    for messages in conversations:
        counted = await rung.count_tokens(messages)
        assert counted <= upper_bound(messages)
        [usage] = (await gather(rung.stream(call(*messages, max_tokens=1)))).usage
        assert counted == usage.prompt_tokens


async def test_an_answer_cut_at_any_token_is_gone_on_from_without_a_seam(rung: ChatBackend) -> None:
    whole = await gather(rung.stream(call(QUESTION)))
    tokens = [chunk.text for chunk in whole.chunks if chunk.text]
    assert len(tokens) > 3
    for cut in range(1, len(tokens)):
        so_far = Message(role=Role.ASSISTANT, content="".join(tokens[:cut]))
        rest = await gather(rung.stream(call(QUESTION, so_far, continues=True)))
        assert so_far.content + rest.text == whole.text


async def test_a_schema_holds(rung: ChatBackend) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer"}},
        "required": ["city", "people"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    got = await gather(rung.stream(call(QUESTION, response_format=wanted, max_tokens=64)))
    assert set(orjson.loads(got.text)) == {"city", "people"}


async def test_logprobs_and_the_limit(rung: ChatBackend) -> None:
    got = await gather(rung.stream(call(QUESTION, logprobs=True, top_logprobs=2, max_tokens=3)))
    assert got.finish == [FinishReason.LENGTH]
    logprobs = [entry for chunk in got.chunks for entry in chunk.logprobs]
    assert "".join(entry["token"] for entry in logprobs).strip() == got.text.strip()
    assert all(len(entry["top_logprobs"]) == 2 for entry in logprobs)


async def test_a_prompt_beyond_the_window_is_named(rung: ChatBackend) -> None:
    with pytest.raises(ContextTooLong):
        await gather(rung.stream(call(Message(role=Role.USER, content="word " * 2000))))


async def test_a_call_that_is_closed_frees_its_slot(rung: ChatBackend) -> None:
    endless = call(Message(role=Role.USER, content="Count from one to a thousand."), max_tokens=900)
    async with aclosing(rung.stream(endless)) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break
    # The server has one slot: this would wait for 900 tokens otherwise.
    assert "Paris" in (await gather(rung.stream(call(QUESTION)))).text


async def test_calls_follow_each_other_although_the_server_drops_connections(rung: ChatBackend) -> None:
    for _ in range(20):
        assert (await gather(rung.stream(call(QUESTION, max_tokens=1)))).text
        assert await rung.count_tokens([QUESTION])
