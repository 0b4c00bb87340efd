"""What a request may hold: what is taken and how, and that whatever is refused is refused by name."""

from typing import Any

import orjson
import pytest

from activities.contracts.chat import Role, ToolCall
from api.openai_compat.documents import body_of
from api.openai_compat.requests import ChatRequest
from tests.openai_compat.playing import KEY, USER, chat
from tests.openai_compat.serving import Served

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "look"}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"foo": 1}, "foo", "unknown_parameter"),
    ({"top_k": 5}, "top_k", "unknown_parameter"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": "hi"}, "messages", "invalid_type"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "missing_required_parameter"),
    ({"messages": [USER, {"role": "wizard", "content": ""}]}, "messages[1].role", "invalid_value"),
    ({"messages": [{**USER, "foo": 1}]}, "messages[0].foo", "unknown_parameter"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type"),
    ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content", "invalid_value"),
    (
        {"messages": [USER, {"role": "tool", "content": "x", "tool_call_id": "c9"}]},
        "messages[1].tool_call_id",
        "invalid_value",
    ),
    ({"temperature": "hot"}, "temperature", "invalid_type"),
    ({"temperature": 2.1}, "temperature", "invalid_value"),
    ({"top_p": -0.1}, "top_p", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "invalid_value"),
    ({"seed": 2**63}, "seed", "invalid_value"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
    ({"stop": ["a", 3]}, "stop[1]", "invalid_type"),
    ({"n": 2}, "n", "unsupported_parameter"),
    ({"n": 0}, "n", "unsupported_parameter"),
    ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
    ({"logit_bias": {"50": 10}}, "logit_bias", "unsupported_parameter"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
    ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
    ({"audio": {"voice": "x"}}, "audio", "unsupported_parameter"),
    ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type", "invalid_value"),
    (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
        "invalid_value",
    ),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "tool_choice",
        "invalid_value",
    ),
    ({"metadata": {"k": 1}}, "metadata[...]", "invalid_type"),
    ({"metadata": {"k" * 65: "v"}}, "metadata", "invalid_value"),
    ({"aither": {"effort": 11}}, "aither.effort", "invalid_value"),
    ({"aither": {"mood": "x"}}, "aither.mood", "unknown_parameter"),
    ({"aither": {"agent": ""}}, "aither.agent", "invalid_value"),
    ({"aither": {"policy": {"trust_me": True}}}, "aither.policy.trust_me", "unknown_parameter"),
    ({"aither": {"policy": {"local_only": 1}}}, "aither.policy.local_only", "invalid_type"),
    ({"aither": {"policy": {"max_usd": -1}}}, "aither.policy.max_usd", "invalid_value"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content", "invalid_value"),
    (
        {"messages": [USER, {"role": "user", "content": [{"type": "text", "text": "\x00"}]}]},
        "messages[1].content[0].text",
        "invalid_value",
    ),
    ({"metadata": {"k\x00": "v"}}, "metadata", "invalid_value"),
]


@pytest.mark.parametrize(("changes", "param", "code"), REFUSED)
def test_what_is_refused_is_named(compat: Served, changes: dict[str, Any], param: str, code: str):
    reply = compat.post(chat(**changes))
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code), error
    assert error["type"] == "invalid_request_error"
    assert param.partition("[...]")[0] in error["message"]
    assert compat.turns.requests == []


@pytest.mark.parametrize("part", ["image_url", "input_audio", "file"])
def test_parts_that_no_backend_reads_are_refused(compat: Served, part: str):
    content = [{"type": "text", "text": "what is this?"}, {"type": part, part: {"url": "data:,"}}]
    error = compat.post(chat(messages=[{"role": "user", "content": content}])).json()["error"]
    assert error["param"] == "messages[0].content[1]"
    assert error["message"].startswith("No configured backend ")


@pytest.mark.parametrize(
    ("escape", "param"),
    [(rb"\ud800", "messages[0].content"), (rb"a\udc00b", "messages[0].content"), (rb"\ud83d\ude00", None)],
)
def test_halves_of_surrogate_pairs_are_no_text(compat: Served, escape: bytes, param: str | None):
    body = b'{"model":"auto","messages":[{"role":"user","content":"' + escape + b'"}]}'
    reply = compat.post(body)
    assert reply.json().get("error", {}).get("param") == param
    assert reply.status_code == (400 if param else 200)


def test_an_escaped_backslash_is_no_nul(compat: Served):
    assert compat.post(chat(messages=[{"role": "user", "content": r"\u0000"}])).status_code == 200
    assert compat.turns.requests[0].messages[0].content == r"\u0000"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"model": NaN}',
        b"[" * 100_000,
        b'{"tools":' + b'[{"a":' * 50_000,
        b'\xff{"model":"auto"}',
        b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}',
        b"[]",
        b"null",
        b'"auto"',
    ],
)
def test_a_body_that_is_no_json_object(compat: Served, body: bytes):
    reply = compat.post(body)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("levels", "status"), [(90, 200), (120, 400), (900, 400)])
def test_schemas_that_are_nested_too_deeply(compat: Served, levels: int, status: int):
    nested = b'{"a":' * levels + b"1" + b"}" * levels
    body = orjson.dumps(chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]))
    reply = compat.post(body.replace(b'"parameters":{}', b'"parameters":' + nested))
    assert reply.status_code == status
    assert status == 200 or reply.json()["error"]["param"] == "tools"


def test_a_body_that_is_too_large(compat: Served):
    reply = compat.post(chat(messages=[{"role": "user", "content": "x" * 1_000_001}]))
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "request_too_large"
    chunked = compat.http.post(
        "/v1/chat/completions",
        content=iter([b" " * 600_000, b" " * 600_000]),
        headers={"authorization": f"Bearer {KEY}"},
    )
    assert chunked.status_code == 413


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}"])
def test_without_a_key_nothing_is_told(compat: Served, authorization: str | None):
    headers = {} if authorization is None else {"authorization": authorization}
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        reply = compat.http.post(path, content=b"{", headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
    assert compat.http.get("/v1/models/auto", headers=headers).status_code == 401


def test_an_unknown_model_is_refused_with_the_known_ones(compat: Served):
    for model in ("gpt-0", "auto:nobody", "all-minilm-l6-v2"):
        reply = compat.post(chat(model=model))
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert "auto, auto:careful, smollm2-135m-instruct, vendor/large" in error["message"]


def test_what_is_passed_over_changes_nothing(compat: Served):
    harmless = {
        "user": "u",
        "safety_identifier": "s",
        "store": True,
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "x"},
        "prompt_cache_key": "k",
        "n": 1,
        "logit_bias": {},
        "modalities": ["text"],
        "verbosity": "medium",
        "audio": None,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "top_logprobs": 0,
        "stream": False,
        "stream_options": {"include_usage": True},
    }
    assert compat.post(chat(**harmless)).status_code == 200
    assert compat.post(chat()).status_code == 200
    first, second = compat.turns.requests
    assert first == second


def test_sampling_and_extensions_arrive(compat: Served):
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    }
    body = chat(
        model="auto:careful",
        max_completion_tokens=9,
        temperature=0,
        top_p=0.5,
        seed=-3,
        stop="END",
        presence_penalty=1,
        frequency_penalty=-1,
        response_format=schema,
        metadata={"k": "v"},
        reasoning_effort="high",
        aither={"conversation_id": "conv_1", "priority": 4},
    )
    assert compat.post(body).status_code == 200
    (request,) = compat.turns.requests
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (9, 0, 0.5)
    assert (sampling.seed, sampling.stop) == (-3, ("END",))
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (1, -1)
    assert sampling.response_format == schema
    assert (request.model, request.effort, request.priority) == ("auto:careful", 8, 4)
    assert (request.conversation_id, request.keep_conversation) == ("conv_1", True)
    assert request.metadata == {"k": "v"}


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [("none", 1), ("minimal", 1), ("low", 3), ("medium", 6), ("high", 8), (None, None)],
)
def test_reasoning_effort_is_effort(compat: Served, reasoning: str | None, effort: int | None):
    compat.post(chat(reasoning_effort=reasoning))
    compat.post(chat(reasoning_effort=reasoning, aither={"effort": 5}))
    assert [request.effort for request in compat.turns.requests] == [effort, 5]


def test_every_kind_of_message(compat: Served):
    replied = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "reasoning_content": "hm",
        "tool_calls": [CALL],
    }
    messages = [
        {"role": "system", "content": "be brief", "name": "boss"},
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        USER,
        replied,
        {"role": "tool", "content": [{"type": "text", "text": "seen"}], "tool_call_id": "c1"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        USER,
    ]
    assert compat.post(chat(messages=messages)).status_code == 200
    found = compat.turns.requests[0].messages
    assert [m.role for m in found] == [
        Role.SYSTEM, Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT, Role.USER
    ]  # fmt: skip
    assert [m.content for m in found] == ["be brief", "a\nb", "hi", "", "seen", "no", "hi"]
    assert found[0].name == "boss"
    assert found[3].tool_calls == (ToolCall(id="c1", name="look", arguments="{}"),)
    assert found[3].reasoning == "hm"
    assert found[4].tool_call_id == "c1"


def test_a_conversation_that_goes_on_may_answer_an_earlier_call(compat: Served):
    answer = {"role": "tool", "content": "seen", "tool_call_id": "c9"}
    assert compat.post(chat(messages=[answer], aither={"conversation_id": "conv_1"})).status_code == 200


def test_an_idempotency_key_stands_for_its_body(compat: Served):
    for body in (chat(), chat(stream=True), chat(seed=1)):
        compat.post(body, **{"idempotency-key": "k1"})
    first, second, third = compat.turns.requests
    assert first.idempotency_key == "k1"
    assert first.body_sha256 == second.body_sha256 != third.body_sha256
    reply = compat.post(chat(), **{"idempotency-key": "k" * 256})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_the_described_body_has_no_loose_ends():
    schema = body_of(ChatRequest)["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in repr(schema)
    assert set(schema["required"]) == {"model", "messages"}
    assert "reasoning_effort" in schema["properties"]
