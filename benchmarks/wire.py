"""A client for HTTP/1.1 that costs next to nothing and notes when each piece of a reply arrived."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

HOST = "127.0.0.1"


@dataclass(slots=True)
class Heard:
    """One reply. `pieces` are its body as it came, each with its `perf_counter`."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    pieces: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


class Wire(asyncio.Protocol):
    """One connection, one call at a time. One that was closed meanwhile is opened again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._now = 0.0
        self._heard = Heard()
        self._done: asyncio.Future[Heard] | None = None

    async def call(self, request: bytes) -> Heard:
        """Sends the request; its reply. Raises ConnectionError when it breaks off."""
        if self._transport is None:
            await asyncio.get_running_loop().create_connection(lambda: self, HOST, self._port)
        assert self._transport is not None
        self._heard = Heard()
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError(f"closed in the middle of a reply: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._now = time.perf_counter()
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._heard.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._heard.pieces.append((self._now, body))

    def on_message_complete(self) -> None:
        self._heard.status = self._parser.get_status_code()
        if self._done is not None and not self._done.done():
            self._done.set_result(self._heard)


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A request, ready to be sent as often as wanted."""
    lines = [f"POST {path} HTTP/1.1", f"host: {HOST}", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
