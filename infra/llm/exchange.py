"""One request to a model server through its SDK, and the answer that streams back.

The SDKs authenticate, address, time out and classify failures. Requests and streams are written and read
here: through the SDKs' typed ones a streamed answer of 20 tokens costs five times the processor time.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httpx2
import msgspec
import orjson

from activities.contracts.chat import ChatChunk, Message
from activities.errors import BackendRejected
from infra.llm.failures import Failures
from infra.llm.sse import EventDecoder, EventTooLong

# Nothing is left to say at the end of an answer; the end of the body is awaited only so that the connection
# can serve the next call.
DRAIN_S = 0.25

# A compressed event stream would have to be decoded, and saves nothing worth it.
_HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """The names under which an SDK keeps what both of them have."""

    status_error: type[Exception]
    connection_error: type[Exception]
    stream: type[Any]


class Reader(Protocol):
    """Reads one answer's events. `ended`: nothing follows; `whole`: the answer may end here."""

    ended: bool

    @property
    def whole(self) -> bool:
        """Whether a body that ends now was not cut."""
        ...

    def read(self, data: bytes) -> ChatChunk | None:
        """The chunk that an event makes, or None. Raises `BackendError`s."""
        ...

    def close(self, rest: bytes) -> None:
        """Takes what stood behind the last event when the body ended."""
        ...


class Exchange:
    """Asks one backend through an SDK's client (openai's or anthropic's), which must not retry."""

    def __init__(self, client: Any, sdk: Sdk, failures: Failures) -> None:
        self._client = client
        self._sdk = sdk
        self._failures = failures

    async def answer(
        self, path: str, body: dict[str, Any], said: Sequence[Message], reader: Reader
    ) -> AsyncGenerator[ChatChunk]:
        """Streams one answer, whole or with an error. Closing the iterator drops the connection."""
        response = await self._post(path, body, said)
        events = EventDecoder()
        try:
            await self._expect_events(response)
            async with aclosing(_pieces(response)) as pieces:
                async for received in pieces:
                    for data in events.feed(received):
                        if (chunk := reader.read(data)) is not None:
                            yield chunk
                    if reader.ended:
                        await _drain(pieces)
                        return
            reader.close(events.rest())
            if not reader.whole:
                raise self._failures.cut()
        except httpx2.HTTPError as error:
            raise self._failures.of_transport(error) from error
        except EventTooLong as error:
            raise self._failures.malformed(str(error)) from error
        finally:
            await response.aclose()

    async def ask(self, path: str, body: dict[str, Any], said: Sequence[Message]) -> dict[str, Any]:
        """The JSON object that answers a request. Raises `BackendError`s."""
        response = await self._post(path, body, said)
        try:
            return msgspec.json.decode(await response.aread(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise self._failures.malformed(f"an answer to {path} that is not a JSON object") from error
        except httpx2.HTTPError as error:
            raise self._failures.of_transport(error) from error
        finally:
            await response.aclose()

    async def _post(self, path: str, body: dict[str, Any], said: Sequence[Message]) -> httpx2.Response:
        """The head of a good response. Raises `BackendError`s for every other one."""
        try:
            content = orjson.dumps(body)
        except orjson.JSONEncodeError as error:
            raise BackendRejected(f"the request cannot be written as JSON: {error}") from error
        try:
            return await self._client.post(
                path,
                content=content,
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=self._sdk.stream,
                options={"headers": _HEADERS},
            )
        except self._sdk.status_error as error:
            told = cast("Any", error)
            raise self._failures.of_status(
                told.status_code, told.body, told.response.headers, said
            ) from error
        except self._sdk.connection_error as error:
            raise self._failures.of_transport(error.__cause__) from error
        except httpx2.HTTPError as error:  # while the body of an error was read
            raise self._failures.of_transport(error) from error

    async def _expect_events(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            return
        if kind.startswith("application/json"):
            with suppress(msgspec.DecodeError):
                said = msgspec.json.decode(await response.aread(), type=dict[str, Any])
                if said.get("error"):
                    raise self._failures.of_error_object(said)
        raise self._failures.malformed(f"{kind[:40] or 'something'} where an event stream was due")


def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """The body as it comes. Decoding it costs more than reading it, so that is left out where it can be."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return cast("AsyncGenerator[bytes]", aiter(response.stream))


async def _drain(pieces: AsyncGenerator[bytes]) -> None:
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass
