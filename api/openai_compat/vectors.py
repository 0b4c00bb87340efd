"""Embeddings: read straight from the embeddings server, without a turn."""

import base64
import sys
from array import array
from typing import Annotated, Any, Literal, cast

import msgspec
import orjson
from fastapi import Request, Response
from msgspec import Meta, Struct

from api.openai_compat.chat import unknown_model
from api.openai_compat.reading import decode, invalid
from infra.embeddings import Embeddings, EmbeddingsClient

MOST_INPUTS = 256
MOST_CHARS = 65_536


class EmbeddingRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A request for embeddings. `user` is passed over."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: str | None = None


_embedding_request = msgspec.json.Decoder(EmbeddingRequest)


async def embed(request: Request, client: EmbeddingsClient, model: str | None) -> Response:
    """The embeddings of the request's texts, by the one embedding model."""
    wanted = decode(_embedding_request, await request.body())
    if model is None or wanted.model != model:
        raise unknown_model(wanted.model, (model,) if model else ())
    found = await client.embed(model, _texts(wanted.input))
    size = len(found.vectors[0])
    if wanted.dimensions not in (None, size):
        raise invalid("dimensions", f"'{model}' has {size} dimensions, and no others can be had.")
    return Response(_body(found, model, wanted.encoding_format), media_type="application/json")


def _texts(given: str | list[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    for index, text in enumerate(cast("list[object]", texts)):
        at = "input" if isinstance(given, str) else f"input[{index}]"
        if not isinstance(text, str):
            hint = "token ids mean nothing to another model's tokenizer, so send text"
            raise invalid(
                at, f"'{at}' must be a string: {hint} (langchain: check_embedding_ctx_length=False)."
            )
        if not text or len(text) > MOST_CHARS:
            raise invalid(at, f"'{at}' must have 1 to {MOST_CHARS:,} characters.")
    return texts


def _body(found: Embeddings, model: str, encoding: str | None) -> bytes:
    vectors = [_base64(v) for v in found.vectors] if encoding == "base64" else found.vectors
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "model": model,
            "usage": {"prompt_tokens": found.prompt_tokens, "total_tokens": found.prompt_tokens},
        }
    )


def _base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI packs them."""
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
