"""The embedding model gives real meaning, through OpenAI's protocol, and refuses what it cannot do by name."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import numpy as np
import pytest
import pytest_asyncio

from infra.embedded.embeddings_server import EmbeddingsApp
from infra.embedded.minilm import DIMENSIONS, MAX_TOKENS, MiniLm

NAME = "a-model"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(EmbeddingsApp(MiniLm.load(), NAME))
    async with httpx2.AsyncClient(transport=transport, base_url="http://embeddings") as opened:
        yield opened


async def embed(client: httpx2.AsyncClient, given: Any, **more: Any) -> dict[str, Any]:
    reply = await client.post("/v1/embeddings", json={"model": NAME, "input": given, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def vectors(body: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([entry["embedding"] for entry in body["data"]], dtype=np.float32)


async def test_related_texts_are_near_and_unrelated_ones_far(client: httpx2.AsyncClient) -> None:
    body = await embed(
        client,
        ["A cat sits on the mat.", "A kitten rests on a rug.", "The central bank raised its interest rate."],
    )
    cat, kitten, bank = vectors(body)
    assert cat @ kitten > 0.6
    assert cat @ bank < 0.2


async def test_vectors_have_length_one_and_do_not_depend_on_their_company(client: httpx2.AsyncClient) -> None:
    texts = [
        "short",
        "a text of some more words than the other",
        "x " * 400,
        *(f"text {n}" for n in range(40)),
    ]
    together = vectors(await embed(client, texts))
    assert together.shape == (len(texts), DIMENSIONS)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for index in (0, 1, 2, 42):
        alone = vectors(await embed(client, texts[index]))[0]
        # The weights have 8 bits, and activations are scaled by what is in the batch.
        assert alone @ together[index] > 0.97, texts[index][:20]


async def test_usage_counts_tokens_and_long_texts_are_cut(client: httpx2.AsyncClient) -> None:
    assert (await embed(client, "hello"))["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (await embed(client, "word " * 1000))["usage"]["prompt_tokens"] == MAX_TOKENS


async def test_base64_is_the_same_vector(client: httpx2.AsyncClient) -> None:
    plain = vectors(await embed(client, "hello"))[0]
    packed = (await embed(client, "hello", encoding_format="base64"))["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(packed), dtype="<f4"), plain)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": NAME}, 400, "input"),
        ({"model": NAME, "input": []}, 400, "input"),
        ({"model": NAME, "input": ""}, 400, "input"),
        ({"model": NAME, "input": ["a", ""]}, 400, "input"),
        ({"model": NAME, "input": [1, 2, 3]}, 400, "input"),
        ({"model": NAME, "input": [[1, 2, 3]]}, 400, "input"),
        ({"model": NAME, "input": {"text": "a"}}, 400, "input"),
        ({"model": NAME, "input": ["a"] * 3000}, 400, "input"),
        ({"model": NAME, "input": "a", "dimensions": 256}, 400, "dimensions"),
        ({"model": NAME, "input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"model": "another", "input": "a"}, 404, "model"),
        ({"input": "a"}, 400, "model"),
        (["a"], 400, None),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(
    client: httpx2.AsyncClient, body: Any, status: int, param: str | None
) -> None:
    reply = await client.post("/v1/embeddings", json=body)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["param"] == param
    assert error["message"]


async def test_it_says_what_it_is(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == [NAME]
    assert (await client.get("/nowhere")).status_code == 404
    assert (await client.post("/v1/embeddings", content=b"{")).status_code == 400
