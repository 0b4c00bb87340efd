"""Embeddings through the routes, and the client of the server behind them."""

from typing import Any

import httpx2
import openai
import pytest

from activities.errors import (
    AnswerMalformed,
    BackendError,
    BackendRateLimited,
    BackendRefusedKey,
    BackendRejected,
    BackendTimedOut,
    BackendUnavailable,
)
from infra.embeddings import EmbeddingsClient
from infra.topology import EMBEDDED_EMBEDDING_MODEL as MODEL
from tests.openai_compat.serving import Served


@pytest.mark.parametrize("how", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_vectors_come_in_the_order_of_the_texts(sdk: openai.OpenAI, how: dict[str, Any]):
    found = sdk.embeddings.create(model=MODEL, input=["a", "bcd"], dimensions=3, user="u", **how)
    vectors = [item.embedding for item in found.data]
    if how.get("encoding_format") == "base64":
        assert vectors == ["AACAPwAAAD8AAKC/", "AABAQAAAAD8AAKC/"]
    else:
        assert vectors == [[1.0, 0.5, -1.25], [3.0, 0.5, -1.25]]
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == (MODEL, 5, 5)


def test_one_text_is_a_list_of_one(sdk: openai.OpenAI):
    assert [item.index for item in sdk.embeddings.create(model=MODEL, input="a").data] == [0]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": MODEL}, 400, "input"),
        ({"model": MODEL, "input": []}, 400, "input"),
        ({"model": MODEL, "input": ""}, 400, "input"),
        ({"model": MODEL, "input": ["a", ""]}, 400, "input[1]"),
        ({"model": MODEL, "input": ["a"] * 257}, 400, "input"),
        ({"model": MODEL, "input": "x" * 65_537}, 400, "input"),
        ({"model": MODEL, "input": [1, 2]}, 400, "input[0]"),
        ({"model": MODEL, "input": [[1, 2]]}, 400, "input[0]"),
        ({"model": MODEL, "input": ["a\x00"]}, 400, "input[0]"),
        ({"model": MODEL, "input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"model": MODEL, "input": "a", "dimensions": 2}, 400, "dimensions"),
        ({"model": MODEL, "input": "a", "foo": 2}, 400, "foo"),
        ({"model": "auto", "input": "a"}, 404, "model"),
        ({"model": MODEL, "input": "status 429"}, 429, None),
        ({"model": MODEL, "input": "status 413"}, 400, None),
        ({"model": MODEL, "input": "status 500"}, 503, None),
        ({"model": MODEL, "input": "nonsense"}, 502, None),
    ],
)
def test_errors_are_error_objects(compat: Served, body: dict[str, Any], status: int, param: str | None):
    reply = compat.post(body, "/v1/embeddings")
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (status, param), error
    assert compat.turns.requests == []


def answers(status: int, body: bytes = b"{}") -> httpx2.MockTransport:
    return httpx2.MockTransport(lambda request: httpx2.Response(status, content=body))


def breaks(error: type[Exception]) -> httpx2.MockTransport:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise error("no")

    return httpx2.MockTransport(handle)


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        (answers(401), BackendRefusedKey),
        (answers(429), BackendRateLimited),
        (answers(400, b"<html>"), BackendRejected),
        (answers(503), BackendUnavailable),
        (answers(200, b"{"), AnswerMalformed),
        (answers(200, b'{"data":[]}'), AnswerMalformed),
        (answers(200, b'{"data":[{"index":1,"embedding":[1]}]}'), AnswerMalformed),
        (breaks(httpx2.ConnectError), BackendUnavailable),
        (breaks(httpx2.ConnectTimeout), BackendUnavailable),
        (breaks(httpx2.ReadTimeout), BackendTimedOut),
        (breaks(httpx2.RemoteProtocolError), BackendUnavailable),
    ],
)
async def test_the_client_speaks_the_vocabulary(
    transport: httpx2.MockTransport, expected: type[BackendError]
):
    async with httpx2.AsyncClient(transport=transport) as http:
        with pytest.raises(expected):
            await EmbeddingsClient(http, "http://embeddings.invalid/").embed("m", ["a"])
