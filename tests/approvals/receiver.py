"""Somebody who is told of approvals by webhook: a real server, that fails where a test wants it to."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

PATIENCE_S = 30.0


@dataclass
class Message:
    """One call, as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """`statuses` are what the next calls are answered; 200 when there is none left."""

    url: str = ""
    statuses: deque[int] = field(default_factory=deque[int])
    came: list[Message] = field(default_factory=list[Message])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.came.append(Message(headers, await request.read()))
        self._changed.set()
        status = self.statuses.popleft() if self.statuses else 200
        headers = {"Location": str(request.url)} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    async def until(self, number: int) -> list[Message]:
        """The first so many calls, when they have come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.came) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.came[:number]


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    """A receiver on a free port of the loopback."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()
