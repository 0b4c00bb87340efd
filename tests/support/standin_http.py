"""A small HTTP/1.1 server for the stand-in: cheap enough to be a benchmark's baseline, and it can misbehave.

A framework's server would refuse to break the protocol; this one cuts, resets and stalls where it is told to.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

import httptools

REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 429: b"Too Many Requests"}
LINGER_RESET = struct.pack("ii", 1, 0)

Handler = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request and the answer to it. The handler's task is cancelled when the client goes away."""

    def __init__(
        self, connection: "Connection", method: str, path: str, headers: dict[str, str], body: bytes
    ):
        self._connection = connection
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.ended = False
        self._started = False

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole answer at once."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = b"HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, b"Answer"))
        self._write(
            head + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body) + extra.encode()
            + b"\r\n" + body
        )  # fmt: skip
        self.ended = True

    def write(self, data: bytes) -> None:
        """A piece of an event stream; the first one sends the head too."""
        head = b""
        if not self._started:
            self._started = True
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self._write(b"%b%x\r\n%b\r\n" % (head, len(data), data))

    def end(self, data: bytes = b"") -> None:
        """The last piece, and the proper end of the body."""
        if data:
            self.write(data)
        self.ended = True
        self._write(b"0\r\n\r\n")

    def close(self) -> None:
        """Closes the connection where it stands, politely (FIN)."""
        self.ended = True
        self._connection.transport.close()

    def reset(self) -> None:
        """Closes the connection where it stands, rudely (RST)."""
        self.ended = True
        transport = self._connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        transport.abort()

    def _write(self, data: bytes) -> None:
        self._connection.transport.write(data)


class Connection(asyncio.Protocol):
    """One client connection: parses requests and runs a task for each, one at a time."""

    def __init__(self, handler: Handler, connections: set["Connection"]) -> None:
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._task: asyncio.Task[None] | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        path = self._url.decode().partition("?")[0]
        exchange = Exchange(self, method, path, self._headers, bytes(self._body))
        self._task = asyncio.get_running_loop().create_task(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._handler(exchange)


class Listener:
    """A listening loopback port that can be closed (connections are refused) and opened again."""

    def __init__(self, handler: Handler, port: int) -> None:
        self._handler = handler
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = port
        self.accepted = 0

    async def open(self) -> None:
        """Listens on the port; port 0 takes a free one, and keeps it from then on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> Connection:
        self.accepted += 1
        return Connection(self._handler, self._connections)

    async def close(self) -> None:
        """Stops listening and drops every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        await self._server.wait_closed()
        self._server = None
