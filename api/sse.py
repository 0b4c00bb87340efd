"""Server-sent events: how a turn's events look on the wire."""

import time
from collections.abc import AsyncGenerator

import orjson
from fastapi.responses import StreamingResponse

from activities.contracts.events import TurnEvent
from api.following import Batches

HEARTBEAT_S = 15.0
RETRY_MS = 1000
"""How long a browser waits before it resumes a stream that broke."""


def event_stream(batches: Batches) -> StreamingResponse:
    """The reply that carries the events, with a comment where nothing has happened for a while."""
    return StreamingResponse(
        _frames(batches),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def frame(event: TurnEvent) -> bytes:
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
