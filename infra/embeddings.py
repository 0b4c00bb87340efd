"""A client of the embeddings server: OpenAI's `/v1/embeddings`, asked for floats."""

from collections.abc import Sequence
from dataclasses import dataclass

import httpx2
import msgspec
import orjson

from activities.errors import (
    AnswerMalformed,
    BackendError,
    BackendRateLimited,
    BackendRefusedKey,
    BackendRejected,
    BackendTimedOut,
    BackendUnavailable,
)

NAME = "the embeddings server"
QUOTE_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """One vector for each text, in the order of the texts."""

    vectors: tuple[list[float], ...]
    prompt_tokens: int


class _Item(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0


class _Reply(msgspec.Struct, frozen=True):
    data: list[_Item]
    usage: _Usage = _Usage()


class _ErrorObject(msgspec.Struct, frozen=True):
    message: str = ""


class _Error(msgspec.Struct, frozen=True):
    error: _ErrorObject = _ErrorObject()


_reply = msgspec.json.Decoder(_Reply)
_error = msgspec.json.Decoder(_Error)


class EmbeddingsClient:
    """Speaks to one server. `http` brings the timeouts, and is its owner's to close."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str) -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/v1/embeddings"

    async def embed(self, model: str, texts: Sequence[str]) -> Embeddings:
        """The texts' vectors. Raises `BackendError`s."""
        body = orjson.dumps({"model": model, "input": list(texts), "encoding_format": "float"})
        try:
            response = await self._http.post(
                self._url, content=body, headers={"content-type": "application/json"}
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise BackendUnavailable(f"{NAME} cannot be reached") from error
        except httpx2.TimeoutException as error:
            raise BackendTimedOut(f"{NAME} fell silent") from error
        except httpx2.TransportError as error:
            raise BackendUnavailable(f"{NAME} dropped the connection") from error
        if response.status_code != 200:
            raise _refusal(response)
        return _embeddings(response.content, len(texts))


def _embeddings(body: bytes, expected: int) -> Embeddings:
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerMalformed(f"{NAME} sent what is no list of embeddings") from error
    items = sorted(reply.data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(expected)):
        raise AnswerMalformed(f"{NAME} sent {len(items)} embeddings for {expected} texts")
    return Embeddings(
        vectors=tuple(item.embedding for item in items), prompt_tokens=reply.usage.prompt_tokens
    )


def _refusal(response: httpx2.Response) -> BackendError:
    status = response.status_code
    try:
        words = " ".join(_error.decode(response.content).error.message.split())[:QUOTE_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = ""
    told = f"{NAME} answered {status}" + (f": {words}" if words else "")
    if status in {401, 403}:
        return BackendRefusedKey(told)
    if status == 429:
        return BackendRateLimited(told)
    return BackendRejected(told) if status < 500 else BackendUnavailable(told)
