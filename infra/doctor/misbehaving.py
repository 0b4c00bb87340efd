"""A model server on a loopback port that says one text, and goes wrong in the way that it is told to.

It speaks as much of OpenAI's chat protocol as the adapters ask for, over real sockets, so that the drills meet
refused connections, resets and silence as they come on a wire.
"""

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import orjson

TEXT = "The rain in Spain stays mainly in the plain, and so do we."
TOKENS = tuple(re.findall(r"\s*\S+", TEXT))
FAULT_AFTER = 4
"""How many tokens are sent before an answer goes wrong in the middle."""


class Fault(StrEnum):
    """How an answer goes wrong."""

    STATUS = "status"
    """Refuses with the behaviour's status."""
    RESET = "reset"
    """Resets the connection instead of answering."""
    SILENCE = "silence"
    """Takes the request and says nothing."""
    STALL = "stall"
    """Falls silent after some tokens."""
    BREAK = "break"
    """Closes the connection after some tokens."""
    CUT = "cut"
    """Ends properly after some tokens, without saying that it is done."""
    MALFORMED = "malformed"
    """Sends a chunk that is not JSON."""
    EMPTY = "empty"
    """Says that it is done, and nothing else."""
    OTHER_MODEL = "other_model"
    """Answers as another model than the one that was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What to do with calls. Without a fault they are answered."""

    fault: Fault | None = None
    status: int = 200
    retry_after: str | None = None


WELL = Behaviour()


class MisbehavingServer:
    """Counts its calls. `now` may be changed at any time, and holds for the calls that come then."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.now = WELL
        self.calls = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def accept(self) -> None:
        """Opens the port; the same one as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Closes the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._serve(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass
        except asyncio.CancelledError:
            # Only we cancel it, when the port closes.
            pass
        finally:
            self._connections.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; whether the connection may serve another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        path = head.split(" ", 2)[1]
        if path.endswith("/chat/completions"):
            return await self._chat(orjson.loads(body), writer)
        listed = {"object": "list", "data": [{"id": self.model, "object": "model"}]}
        _send(writer, 200 if path.endswith("/models") else 404, orjson.dumps(listed))
        await writer.drain()
        return True

    async def _chat(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        self.calls += 1
        now = self.now
        match now.fault:
            case Fault.STATUS:
                headers = f"retry-after: {now.retry_after}\r\n" if now.retry_after else ""
                _send(writer, now.status, b'{"error":{"message":"as it was told to"}}', headers)
                await writer.drain()
                return True
            case Fault.RESET:
                _reset(writer)
                return False
            case Fault.SILENCE:
                await asyncio.Event().wait()
            case _:
                pass
        return await self._stream(body, writer, now.fault)

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        model = "some-other-model" if fault is Fault.OTHER_MODEL else self.model
        tokens = () if fault is Fault.EMPTY else _rest(body)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        in_middle = fault in {Fault.STALL, Fault.BREAK, Fault.CUT, Fault.MALFORMED}
        for token in tokens[:FAULT_AFTER] if in_middle else tokens:
            _event(writer, _chunk(model, {"content": token}))
            await writer.drain()
        match fault:
            case Fault.STALL:
                await asyncio.Event().wait()
            case Fault.BREAK:
                return False
            case Fault.MALFORMED:
                _event(writer, b'{"choices": [{"delta": {"con')
            case Fault.CUT:
                pass
            case _:
                usage = {
                    "prompt_tokens": 10,
                    "completion_tokens": len(tokens),
                    "total_tokens": 10 + len(tokens),
                }
                _event(writer, _chunk(model, {}, finish="stop"))
                _event(writer, orjson.dumps({**_head(model), "choices": [], "usage": usage}))
                _event(writer, b"[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _rest(body: dict[str, Any]) -> tuple[str, ...]:
    """The tokens of the answer: those after what the call asks to go on from, or all."""
    last = body["messages"][-1]
    held = last.get("content") or "" if last.get("role") == "assistant" else ""
    if not held or not TEXT.startswith(held):
        return TOKENS
    return tuple(re.findall(r"\s*\S+", TEXT[len(held) :]))


def _head(model: str) -> dict[str, Any]:
    return {"id": "drill", "object": "chat.completion.chunk", "created": 1, "model": model}


def _chunk(model: str, delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return orjson.dumps({**_head(model), "choices": [choice]})


def _event(writer: asyncio.StreamWriter, data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> None:
    head = f"HTTP/1.1 {status} Told So\r\ncontent-type: application/json\r\n{headers}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def _reset(writer: asyncio.StreamWriter) -> None:
    plug: socket.socket = writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
