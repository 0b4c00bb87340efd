"""Server-sent events: how a turn's events look on the wire."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import orjson
from fastapi.responses import StreamingResponse

HEARTBEAT_S = 15.0
RETRY_MS = 1000
"""How long a browser waits before it resumes a stream that broke."""


class Event(Protocol):
    """What an event has, whatever it tells of."""

    @property
    def id(self) -> str:
        """Resumes the stream after it."""
        ...

    @property
    def kind(self) -> StrEnum:
        """Its name."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """A JSON object."""
        ...


Batches = AsyncGenerator[Sequence[Event]]


def event_stream(batches: Batches) -> StreamingResponse:
    """The reply that carries the events, with a comment where nothing has happened for a while."""
    return StreamingResponse(
        _frames(batches),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def frame(event: Event) -> bytes:
    """One event; its data is one line of JSON."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        event.id.encode(),
        event.kind.value.encode(),
        orjson.dumps(event.data),
    )


async def _frames(batches: Batches) -> AsyncGenerator[bytes]:
    """Empty batches come every few seconds, so a heartbeat needs no timer of its own."""
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        spoke = time.monotonic()
        async for batch in batches:
            if batch:
                yield b"".join(map(frame, batch))
            elif time.monotonic() - spoke >= HEARTBEAT_S:
                yield b": still here\n\n"
            else:
                continue
            spoke = time.monotonic()
    finally:
        await batches.aclose()
