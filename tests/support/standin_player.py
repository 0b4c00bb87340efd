"""Plays the stand-in's replies, well or badly."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from tests.support.standin_http import Exchange
from tests.support.standin_reply import Call, Fault, Reply


class Stream(Protocol):
    """What a dialect's stream offers to the player."""

    def head(self) -> bytes: ...
    def pieces(self) -> list[bytes]: ...
    def tail(self) -> bytes: ...
    def done(self) -> bytes: ...
    def error(self) -> bytes: ...


class Player:
    """Plays one reply: waits, streams at the reply's pace, and goes wrong where it should."""

    def __init__(
        self, exchange: Exchange, call: Call, reply: Reply, released: Callable[[], asyncio.Event]
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._reply = reply
        self._released = released

    async def play(self, dialect: Any) -> None:
        reply, exchange = self._reply, self._exchange
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.status != 200:
            headers = {"retry-after": reply.retry_after} if reply.retry_after is not None else {}
            exchange.send(reply.status, orjson.dumps(dialect.error_body(reply, reply.status)), headers)
            self._call.end("faulted")
        elif reply.fault and reply.fault_after == 0 and reply.fault is not Fault.NO_DONE:
            await self._go_wrong(dialect.Stream(self._call, reply))
        elif self._call.body.get("stream"):
            await self._stream(dialect.Stream(self._call, reply))
        else:
            if reply.hold_after is not None:
                await self._released().wait()
            exchange.send(200, dialect.whole(self._call, reply))
            self._call.end("whole")

    async def _stream(self, stream: Stream) -> None:
        reply, exchange, call = self._reply, self._exchange, self._call
        head, pieces, end = stream.head(), stream.pieces(), stream.tail()
        if reply.fault is not Fault.NO_DONE:
            end += stream.done()
        if reply.pace_s or reply.hold_after is not None or reply.fault not in {None, Fault.NO_DONE}:
            exchange.write(head)
            if not await self._paced(pieces):
                await self._go_wrong(stream)
                return
            exchange.end(end)
        else:
            # All in one write: a server that has every token at once.
            call.sent = len(pieces)
            exchange.end(b"".join((head, *pieces, end)))
        call.end("faulted" if reply.fault else "whole")

    async def _paced(self, pieces: list[bytes]) -> bool:
        """Writes the pieces when they are due; False where it is time to go wrong."""
        reply, loop = self._reply, asyncio.get_running_loop()
        faulty = reply.fault not in {None, Fault.NO_DONE}
        begun = loop.time()
        for number, piece in enumerate((*pieces, b"")):
            if faulty and number >= min(reply.fault_after, len(pieces)):
                return False
            if number == reply.hold_after:
                await self._released().wait()
            if not piece:
                break
            if reply.pace_s and (ahead := begun + number * reply.pace_s - loop.time()) > 0:
                await asyncio.sleep(ahead)
            self._exchange.write(piece)
            self._call.sent += 1
        return True

    async def _go_wrong(self, stream: Stream) -> None:
        exchange = self._exchange
        match self._reply.fault:
            case Fault.SILENCE:
                await asyncio.Event().wait()
            case Fault.RESET:
                exchange.reset()
            case Fault.BREAK:
                exchange.close()
            case Fault.CUT:
                exchange.end()
            case Fault.MALFORMED:
                exchange.end(b'data: {"choices": [{"delta": {"con\n\n')
            case Fault.ERROR_CHUNK:
                exchange.end(stream.error())
            case _:
                exchange.send(200, b"<html>It works!</html>")
        self._call.end("faulted")
