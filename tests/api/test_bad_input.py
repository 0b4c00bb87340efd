"""Every request that cannot be served is a problem that names its field, and leaves nothing behind."""

import json
from typing import Any

import httpx2
import pytest

from api.models import ProblemView
from tests.api.conftest import Api, ask

CONVERSATION = "conv_01k5h6v9c1d3f5g7h9j2k4m6np"
TURN = "turn_01k5h6v9c2m8r4t0x3z7q5w1ne"
Q = {"input": "Why?"}
USER = {"role": "user", "content": "Why?"}
DEEP: Any = json.loads("[" * 150 + "]" * 150)


def said(*messages: Any) -> dict[str, Any]:
    return {"input": list(messages)}


BODIES: list[tuple[Any, int, str]] = [
    ({}, 422, "input"),
    ([], 422, "body"),
    ("Why?", 422, "body"),
    (None, 422, "body"),
    ({"input": None}, 422, "input"),
    ({"input": 5}, 422, "input"),
    ({"input": {}}, 422, "input"),
    ({"input": ""}, 422, "input"),
    ({"input": " \n\t"}, 422, "input"),
    ({"input": []}, 422, "input"),
    ({"input": "a\x00b"}, 422, "input"),
    ({"input": "x" * 40_000}, 422, "input"),
    (said("Why?"), 422, "input[0]"),
    (said({"role": "user"}), 422, "input[0].content"),
    (said({"role": "user", "content": "a\x00b"}), 422, "input[0].content"),
    (said({"role": "user", "content": None}), 422, "input[0].content"),
    (said({"role": "user", "content": [{"type": "text", "text": "x"}]}), 422, "input[0].content"),
    (said({"role": "wizard", "content": "x"}), 422, "input[0].role"),
    (said(USER, {"role": "assistant", "content": "Because."}), 422, "input[1].role"),
    (said({"role": "system", "content": "Be brief."}), 422, "input[0].role"),
    (said({**USER, "mood": "good"}), 422, "input[0].mood"),
    (said({**USER, "tool_call_id": "c1"}), 422, "input[0].tool_call_id"),
    (said(USER, {"role": "tool", "content": "x"}), 422, "input[1].tool_call_id"),
    (said({**USER, "tool_calls": [{"id": "c", "name": "f", "arguments": ""}]}), 422, "input[0].tool_calls"),
    (
        said({"role": "assistant", "tool_calls": [{"id": "c", "name": "", "arguments": ""}]}, USER),
        422,
        "input[0].tool_calls[0].name",
    ),
    (said(*[USER] * 4097), 422, "input"),
    ({**Q, "colour": "blue"}, 422, "colour"),
    ({**Q, "effort": 0}, 422, "effort"),
    ({**Q, "effort": 11}, 422, "effort"),
    ({**Q, "effort": "5"}, 422, "effort"),
    ({**Q, "effort": 5.5}, 422, "effort"),
    ({**Q, "effort": True}, 422, "effort"),
    ({**Q, "effort": 10**400}, 422, "effort"),
    ({**Q, "priority": 0}, 422, "priority"),
    ({**Q, "priority": 6}, 422, "priority"),
    ({**Q, "priority": 1}, 422, "priority"),
    ({**Q, "agent": "demiurge"}, 404, "agent"),
    ({**Q, "policy": "strict"}, 422, "policy"),
    ({**Q, "policy": {"local_only": "yes"}}, 422, "policy.local_only"),
    ({**Q, "policy": {"max_usd": -1}}, 422, "policy.max_usd"),
    ({**Q, "policy": {"max_usd": "1"}}, 422, "policy.max_usd"),
    ({**Q, "policy": {"max_usd_day": 1e300}}, 422, "policy.max_usd_day"),
    ({**Q, "policy": {"allowed_models": "gpt"}}, 422, "policy.allowed_models"),
    (
        {**Q, "policy": {"allowed_models": ["smollm2-135m-instruct", "gpt-9"]}},
        422,
        "policy.allowed_models[1]",
    ),
    ({**Q, "policy": {"allowed_backends": ["nobody"]}}, 422, "policy.allowed_backends[0]"),
    ({**Q, "policy": {"trust_me": True}}, 422, "policy.trust_me"),
    ({**Q, "model": "gpt-17"}, 404, "model"),
    ({**Q, "model": "auto:nowhere"}, 404, "model"),
    ({**Q, "model": ""}, 422, "model"),
    ({**Q, "model": "x\x00"}, 422, "model"),
    ({**Q, "conversation_id": "chat-7"}, 404, "conversation_id"),
    ({**Q, "conversation_id": CONVERSATION}, 404, "conversation_id"),
    ({**Q, "conversation_id": 7}, 422, "conversation_id"),
    ({**Q, "metadata": {"a": 1}}, 422, "metadata.a"),
    ({**Q, "metadata": {"a": "x" * 513}}, 422, "metadata.a"),
    ({**Q, "metadata": {"k" * 65: "x"}}, 422, "metadata"),
    ({**Q, "metadata": {str(n): "x" for n in range(17)}}, 422, "metadata"),
    ({**Q, "metadata": {"a": "\x00"}}, 422, "metadata.a"),
    ({**Q, "metadata": {"\x00": "a"}}, 422, "metadata"),
    ({**Q, "max_tokens": 0}, 422, "max_tokens"),
    ({**Q, "temperature": -1}, 422, "temperature"),
    ({**Q, "temperature": 3}, 422, "temperature"),
    ({**Q, "top_p": 0}, 422, "top_p"),
    ({**Q, "seed": 2**63}, 422, "seed"),
    ({**Q, "stop": ["a"] * 5}, 422, "stop"),
    ({**Q, "stop": ["\x00"]}, 422, "stop[0]"),
    ({**Q, "response_format": {"type": "poem"}}, 422, "response_format.type"),
    ({**Q, "response_format": {"type": "json_schema"}}, 422, "response_format.json_schema"),
    ({**Q, "response_format": {"type": "text", "x": "\x00"}}, 422, "response_format.x"),
]

RAW: list[tuple[bytes, int, str]] = [
    (b"", 400, "body"),
    (b"{", 400, "body"),
    (b"not json", 400, "body"),
    (b"\xff\xfe{}", 400, "body"),
    (b'{"input": "\xed\xa0\x80"}', 400, "body"),
    (b'{"input": "x",}', 400, "body"),
    (b'{"input": "\\ud800"}', 422, "input"),
    (b'{"input": [{"role": "user", "content": "\\udc00x"}]}', 422, "input[0].content"),
    (b'{"input": "x", "metadata": {"a": "\\ud83d"}}', 422, "metadata.a"),
    (b'{"input": "x", "metadata": {"\\ud83d": "a"}}', 422, "metadata"),
    (b'{"input": "x", "temperature": NaN}', 422, "temperature"),
    (b'{"input": "x", "temperature": 1e999}', 422, "temperature"),
    (b"[" * 100_000, 413, "body"),
    (b'{"input": ' + b'{"a":' * 5000, 413, "body"),
    (b'{"input": "' + b"x" * 300_000 + b'"}', 413, "body"),
]

HEADERS: list[tuple[dict[str, str], int, str]] = [
    ({"Content-Type": "text/plain"}, 415, "Content-Type"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
    ({"Idempotency-Key": ""}, 422, "Idempotency-Key"),
    ({"Idempotency-Key": "a b"}, 422, "Idempotency-Key"),
    ({"Idempotency-Key": "k" * 256}, 422, "Idempotency-Key"),
]

ADDRESSES: list[tuple[str, str, int, str | None]] = [
    ("GET", "/v1/turns/nonsense", 404, None),
    ("GET", f"/v1/turns/{TURN}", 404, None),
    ("GET", f"/v1/turns/{TURN}/events", 404, None),
    ("POST", f"/v1/turns/{TURN}/cancel", 404, None),
    ("GET", f"/v1/turns/{TURN}/events?after=x", 422, "after"),
    ("GET", "/v1/turns?limit=0", 422, "limit"),
    ("GET", "/v1/turns?limit=101", 422, "limit"),
    ("GET", "/v1/turns?limit=ten", 422, "limit"),
    ("GET", "/v1/turns?status=lost", 422, "status"),
    ("GET", "/v1/turns?cursor=%00", 422, "cursor"),
    ("GET", "/v1/turns?cursor=abc", 422, "cursor"),
    ("GET", "/v1/turns?conversation_id=x", 422, "conversation_id"),
    ("GET", "/v1/turns?colour=blue", 422, "colour"),
    ("GET", "/v1/nothing", 404, None),
    ("GET", "/v1/turns/a%2Fb", 404, None),
    ("PUT", "/v1/turns", 405, None),
    ("DELETE", f"/v1/turns/{TURN}", 405, None),
]


def check(reply: httpx2.Response, status: int, field: str | None) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = ProblemView.model_validate(reply.json())
    assert problem.status == status
    assert "Traceback" not in reply.text
    if field is not None:
        assert field in {error.field for error in problem.errors or []}, reply.text


@pytest.fixture
async def low(api: Api) -> httpx2.AsyncClient:
    """A client whose key may not ask for the most urgent priorities."""
    return api.client(await api.new_key("acme", ceiling=2))


async def test_bodies(api: Api, low: httpx2.AsyncClient) -> None:
    async with low:
        before = [await api.stores.count(table) for table in ("turns", "conversations", "answers")]
        for body, status, field in BODIES:
            raw = json.dumps(body).encode()
            reply = await low.post("/v1/turns", content=raw, headers={"Content-Type": "application/json"})
            check(reply, status, field)
        for raw, status, field in RAW:
            reply = await low.post("/v1/turns", content=raw, headers={"Content-Type": "application/json"})
            check(reply, status, field)
        for headers, status, field in HEADERS:
            content = {"Content-Type": "application/json"} | headers
            check(await low.post("/v1/turns", content=b'{"input": "x"}', headers=content), status, field)
        assert [await api.stores.count(table) for table in ("turns", "conversations", "answers")] == before
        assert api.runs.started == []


async def test_addresses(api: Api, client: httpx2.AsyncClient) -> None:
    for method, address, status, field in ADDRESSES:
        check(await client.request(method, address), status, field)
    assert "POST" in (await client.request("PUT", "/v1/turns")).headers["allow"]


async def test_a_body_in_chunks_is_cut_off_too(api: Api, client: httpx2.AsyncClient) -> None:
    async def endless():
        yield b'{"input": "'
        while True:
            yield b"x" * 65_536

    try:
        reply = await client.post(
            "/v1/turns", content=endless(), headers={"Content-Type": "application/json"}
        )
    except (httpx2.WriteError, httpx2.ReadError):
        return  # The server closed while we were still talking, which is as good a way to say it.
    check(reply, 413, "body")


async def test_what_is_odd_but_right_is_taken(api: Api, client: httpx2.AsyncClient) -> None:
    bodies: list[Any] = [
        {"input": "back\\slash \\u0000 spelled out, 💡, \u2028"},
        {
            "input": "x",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        },
        {"input": "x", "response_format": {"type": "text", "deep": DEEP, "big": 10**40}},
        {"input": "x", "temperature": 1, "seed": -1, "stop": ["\n"], "max_tokens": 5, "top_p": 1},
        {"input": [{"role": "system", "content": "x" * 10}, *[USER] * 300]},
    ]
    for body in bodies:
        assert (await ask(client, body))["status"] == "completed"
