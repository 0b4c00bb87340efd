"""ComfyUI's memory endpoints: `/free` leaves a wish, which is taken up once no job runs."""

import asyncio

from aiohttp import web

from tests.support.standin_aiohttp import Place

MIB = 1024 * 1024


class Comfy(Place):
    """`held_mib` is what its process has reserved. With `frees` off it agrees to free, and frees nothing."""

    def __init__(self, held_mib: int = 0, *, total_mib: int = 24_000, frees: bool = True) -> None:
        super().__init__()
        self.held_mib = held_mib
        self.total_mib = total_mib
        self.frees = frees
        self.running: list[str] = []
        self.device = "cuda"
        self.wishes: list[dict[str, bool]] = []
        self._wished = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/free", self._free),
            web.get("/system_stats", self._system_stats),
            web.get("/queue", self._queue),
        ]

    async def _free(self, request: web.Request) -> web.Response:
        self.wishes.append(await request.json())
        self._wished = True
        return web.Response()

    async def _system_stats(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        if self._wished and self.frees and not self.running:
            self.held_mib, self._wished = 0, False
        device = {
            "name": "stand-in",
            "type": self.device,
            "index": 0,
            "vram_total": self.total_mib * MIB,
            "vram_free": (self.total_mib - self.held_mib) * MIB,
            "torch_vram_total": (self.total_mib if self.device == "cpu" else self.held_mib) * MIB,
            "torch_vram_free": 0,
        }
        return web.json_response({"system": {"os": "posix"}, "devices": [device]})

    async def _queue(self, request: web.Request) -> web.Response:
        return web.json_response({"queue_running": [[each] for each in self.running], "queue_pending": []})
