"""A stand-in's place on the network: an aiohttp application on a loopback port that it keeps when it is closed."""

from abc import ABC, abstractmethod
from typing import Self

from aiohttp import web


class Place(ABC):
    """Listens within its block; port 0 takes a free one. `refuse` closes the port, `accept` opens it again."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""

    async def accept(self) -> None:
        """Listens from now on, at the port that it had."""
        application = web.Application()
        application.add_routes(self.routes())
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def refuse(self) -> None:
        """Listens no more; its port stays its own."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
