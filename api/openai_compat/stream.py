"""The reply of a streamed completion: server-sent events, for as long as the client listens."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from activities.contracts.events import TurnEvent
from api.openai_compat.errors import CompatError, compat_error
from api.openai_compat.transcript import Transcript
from api.openai_compat.waiting import Leave, disconnected, stopped

KEEP_ALIVE_S = 10.0
"""Silence after which a comment is sent, so that nothing between us and the client gives the stream up."""


class ChatStream(Response):
    """Streams a turn. A failure before the first token is a plain error reply with its status; a later one is
    an error in the stream, which then ends without `[DONE]`.
    """

    def __init__(
        self,
        turn_id: str,
        batches: AsyncGenerator[list[TurnEvent]],
        transcript: Transcript,
        leave: Leave,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"content-type": "text/event-stream", "cache-control": "no-cache", **headers})
        self._turn_id = turn_id
        self._batches = batches
        self._transcript = transcript
        self._leave = leave
        self._begun = False
        self._over = False
        self._quiet = True
        self._sending = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the turn has ended or the client has gone."""
        told = asyncio.create_task(self._tell(scope, receive, send))
        gone = asyncio.create_task(disconnected(receive))
        try:
            while not (told.done() or gone.done()):
                self._quiet = True
                await asyncio.wait((told, gone), timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                if self._quiet and not (told.done() or gone.done()):
                    await self._send(send, b": waiting\n\n")
            if told.done():
                told.result()
        finally:
            await stopped(told, gone)
        if not self._transcript.ended:
            await self._leave()

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with contextlib.aclosing(self._batches):
                async for batch in self._batches:
                    await self._pass_on(batch, send)
            failure = None if self._transcript.ended else _broken_off()
        except Exception as error:
            failure = compat_error(error)
        async with self._sending:
            self._over = True
            if failure is not None and not self._begun:
                await failure.of_turn(self._turn_id).response()(scope, receive, send)
                return
            last = b"" if failure is None else b"data: " + failure.body() + b"\n\n"
            await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pass_on(self, batch: list[TurnEvent], send: Send) -> None:
        """Sends what a batch adds, at once; also what came ahead of an event at which the stream fails."""
        out = b""
        try:
            for event in batch:
                out += self._transcript.take(event)
        finally:
            if out:
                await self._send(send, out)

    async def _send(self, send: Send, body: bytes) -> None:
        self._quiet = False
        async with self._sending:
            if self._over:
                return
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": body, "more_body": True})


def _broken_off() -> CompatError:
    return CompatError(503, "The stream broke off before the turn had ended.", code="stream_lost")
