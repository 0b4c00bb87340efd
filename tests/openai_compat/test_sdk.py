"""The official SDK against the routes: what it sees of turns that go well and of those that do not."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from activities.contracts.chat import Role
from activities.contracts.events import EventKind
from activities.errors import StoreUnavailable
from tests.openai_compat.playing import (
    HOP,
    KEY,
    completed,
    event,
    failed,
    hop,
    plays,
    says,
    token,
    tokens,
    view,
)
from tests.openai_compat.serving import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
CALLS = [{"id": "call_a", "name": "look", "arguments": '{"at":1}'}]
LOGPROB = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}


def ask(sdk: openai.OpenAI, **more: Any) -> Any:
    create: Any = sdk.chat.completions.create
    return create(model="auto", messages=HELLO, **more)


def test_a_whole_answer(compat: Served, sdk: openai.OpenAI):
    raw = sdk.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    answer = raw.parse()
    turn_id = raw.headers["x-aither-turn-id"]
    assert answer.id == f"chatcmpl-{turn_id}"
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "small"
    assert answer.usage and answer.usage.total_tokens == 10
    assert answer.usage.prompt_tokens_details and answer.usage.prompt_tokens_details.cached_tokens == 2
    details = answer.usage.completion_tokens_details
    assert details and details.reasoning_tokens == 1
    assert answer.model_extra and answer.model_extra["aither_route"] == [HOP]
    request = compat.turns.requests[0]
    assert not request.keep_conversation
    assert [(m.role, m.content) for m in request.messages] == [(Role.USER, "hi")]
    assert compat.turns.cancelled == []


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream(compat: Served, sdk: openai.OpenAI, usage: bool):
    compat.turns.script = says("Hel", "lo", " thére\n", answer={"reasoning": "hm"})
    options = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(ask(sdk, stream=True, **options))
    assert chunks[0].choices[0].delta.role == "assistant"
    spoken = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert [text for text in spoken if text] == ["Hel", "lo", " thére\n"]
    assert {c.id for c in chunks} == {chunks[0].id}
    assert {c.model for c in chunks} == {"small"}
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons.count("stop") == 1
    thoughts = [c.choices[0].delta.model_extra for c in chunks if c.choices]
    assert {"reasoning_content": "hm"} in thoughts
    assert chunks[-1].model_extra and chunks[-1].model_extra["aither_route"] == [HOP]
    if usage:
        assert chunks[-1].choices == []
        assert chunks[-1].usage and chunks[-1].usage.total_tokens == 10
        assert all(c.usage is None for c in chunks[:-1])
    else:
        assert reasons[-1] == "stop"
        assert all("usage" not in c.model_fields_set for c in chunks)


def test_the_async_sdk(compat: Served):
    async def both() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{compat.url}/v1", api_key=KEY, max_retries=0) as sdk:
            whole = await sdk.chat.completions.create(model="auto", messages=HELLO)
            stream = await sdk.chat.completions.create(model="auto", messages=HELLO, stream=True)
            said = [c.choices[0].delta.content or "" async for c in stream]
            return whole.choices[0].message.content, "".join(said)

    # In a loop of its own, which closes the generators that the SDK leaves open.
    assert asyncio.run(both()) == ("Hello there", "Hello there")


def test_tool_calls(compat: Served, sdk: openai.OpenAI):
    tools: list[Any] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    called = {"tool_calls": CALLS, "finish_reason": "tool_calls"}
    compat.turns.script = plays(
        hop(),
        token("", 0, tool_calls=[{"index": 0, "id": "call_a", "name": "look", "arguments": ""}]),
        token("", 0, tool_calls=[{"index": 0, "id": None, "name": None, "arguments": '{"at"'}]),
        token("", 0, tool_calls=[{"index": 0, "id": None, "name": None, "arguments": ":1}"}]),
        end=lambda turn_id: completed(turn_id, answer=called),
    )
    whole = ask(sdk, tools=tools, tool_choice="required", parallel_tool_calls=False)
    message = whole.choices[0].message
    assert message.content is None
    assert whole.choices[0].finish_reason == "tool_calls"
    assert [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls] == [
        ("call_a", "look", '{"at":1}')
    ]
    sampling = compat.turns.requests[0].sampling
    assert sampling.tools == tuple(tools)
    assert (sampling.tool_choice, sampling.parallel_tool_calls) == ("required", False)
    with sdk.chat.completions.stream(model="auto", messages=HELLO, tools=tools) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls and [(c.id, c.function.arguments) for c in calls] == [("call_a", '{"at":1}')]
    assert final.choices[0].finish_reason == "tool_calls"


def test_logprobs(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = plays(
        hop(),
        token("Hi", 0, logprobs=[LOGPROB]),
        end=lambda turn_id: completed(turn_id, "Hi", answer={"logprobs": [LOGPROB]}),
    )
    whole = ask(sdk, logprobs=True, top_logprobs=2)
    assert whole.choices[0].logprobs.content[0].token == "Hi"
    chunks = list(ask(sdk, logprobs=True, stream=True))
    said = [c.choices[0] for c in chunks if c.choices[0].logprobs]
    assert [(c.delta.content, c.logprobs.content[0].logprob) for c in said] == [("Hi", -0.1)]
    assert compat.turns.requests[0].sampling.top_logprobs == 2


@pytest.mark.parametrize(
    ("code", "status", "kind", "told"),
    [
        ("context_too_long", 400, openai.BadRequestError, "context_length_exceeded"),
        ("local_only", 403, openai.PermissionDeniedError, "local_only"),
        ("over_budget", 429, openai.RateLimitError, "insufficient_quota"),
        ("backend_rejected", 400, openai.BadRequestError, "backend_rejected"),
        ("backend_rate_limited", 429, openai.RateLimitError, "rate_limit_exceeded"),
        ("model_missing", 502, openai.InternalServerError, "model_missing"),
        ("no_rung_left", 503, openai.InternalServerError, "no_rung_left"),
        ("backend_timed_out", 504, openai.InternalServerError, "backend_timed_out"),
        ("something_new", 500, openai.InternalServerError, "something_new"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_fails_without_a_token_is_an_error_status(
    compat: Served,
    sdk: openai.OpenAI,
    code: str,
    status: int,
    kind: type[openai.APIStatusError],
    told: str,
    stream: bool,
):
    compat.turns.script = plays(hop(), end=lambda turn_id: failed(turn_id, code))
    with pytest.raises(kind) as caught:
        ask(sdk, stream=stream)
    error = caught.value
    assert error.status_code == status
    assert error.code == told
    assert "it broke" in error.message
    assert error.response.headers["x-aither-turn-id"] in error.message
    assert error.response.json()["aither_route"] == [HOP]
    repeated = error.response.headers.get("x-should-retry") != "false"
    assert repeated is (code not in {"backend_timed_out", "over_budget"})


def test_a_stream_that_fails_after_a_token_raises_and_has_no_clean_end(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = plays(
        hop(), *tokens("Hel", "lo"), end=lambda turn_id: failed(turn_id, "no_rung_left")
    )
    stream = ask(sdk, stream=True)
    text = ""
    with pytest.raises(openai.APIError, match="it broke") as caught:
        for chunk in stream:
            assert chunk.choices[0].finish_reason is None
            text += chunk.choices[0].delta.content
    assert text == "Hello"
    assert caught.value.code == "no_rung_left"


def test_a_stream_that_breaks_off_raises(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = plays(hop(), *tokens("Hel"))
    with pytest.raises(openai.APIError, match="broke off"):
        list(ask(sdk, stream=True))
    compat.turns.cancel_seen.wait(5)
    assert len(compat.turns.cancelled) == 1


def test_a_cancelled_turn_is_a_conflict_that_is_not_repeated(compat: Served):
    cancelled = {"status": "cancelled", "answer": None}
    compat.turns.script = plays(
        end=lambda turn_id: event(EventKind.TURN_CANCELLED, **view(turn_id) | cancelled)
    )
    # With the SDK's own retries: a 409 would be tried again, and each try would be a new turn.
    with (
        openai.OpenAI(base_url=f"{compat.url}/v1", api_key=KEY) as sdk,
        pytest.raises(openai.ConflictError, match="cancelled") as caught,
    ):
        ask(sdk)
    assert caught.value.code == "turn_cancelled"
    assert len(compat.turns.requests) == 1


def test_a_restart_that_repeats_and_extends_goes_on(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = plays(
        hop(),
        *tokens("Hello", " wor"),
        hop(EventKind.HOP_RESTARTED),
        *tokens("Hel", "lo world", "!"),
        end=lambda turn_id: completed(turn_id, "Hello world!"),
    )
    assert "".join(c.choices[0].delta.content or "" for c in ask(sdk, stream=True)) == "Hello world!"


def test_a_restart_that_says_something_else_raises(compat: Served, sdk: openai.OpenAI):
    compat.turns.script = plays(
        hop(),
        *tokens("Hello"),
        hop(EventKind.HOP_RESTARTED),
        *tokens("Help"),
        end=lambda turn_id: completed(turn_id, "Help"),
    )
    stream = ask(sdk, stream=True)
    with pytest.raises(openai.APIError, match="started over") as caught:
        list(stream)
    assert caught.value.code == "answer_restarted"


def test_models(sdk: openai.OpenAI):
    names = [model.id for model in sdk.models.list()]
    assert names == ["auto", "auto:careful", "smollm2-135m-instruct", "vendor/large", "all-minilm-l6-v2"]
    assert sdk.models.retrieve("vendor/large").id == "vendor/large"
    with pytest.raises(openai.NotFoundError, match="auto, auto:careful") as caught:
        sdk.models.retrieve("gpt-0")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("key", ["wrong", "ak_" + "x" * 1000])
def test_a_wrong_key(compat: Served, key: str):
    with openai.OpenAI(base_url=f"{compat.url}/v1", api_key=key, max_retries=0) as sdk:
        for call in (sdk.models.list, lambda: ask(sdk), lambda: ask(sdk, stream=True)):
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert caught.value.code == "invalid_api_key"
            assert caught.value.response.headers["www-authenticate"].startswith("Bearer")


def test_a_refusal_of_our_stores_is_a_server_error(compat: Served, sdk: openai.OpenAI):
    compat.turns.refusal = StoreUnavailable("the database is away")
    with pytest.raises(openai.InternalServerError, match="away") as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.type) == (503, "server_error")


def test_what_nobody_foresaw_shows_nothing_of_itself(compat: Served, sdk: openai.OpenAI):
    compat.turns.refusal = RuntimeError("secret")
    with pytest.raises(openai.InternalServerError) as caught:
        ask(sdk)
    assert "secret" not in caught.value.response.text
