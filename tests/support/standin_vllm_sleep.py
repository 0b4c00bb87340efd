"""vLLM's development endpoints for sleep mode, and just enough of the rest to probe it: well-behaved or not.

After docs.vllm.ai/en/latest/features/sleep_mode: levels, tags, `reload_weights`, and that what does not support
it answers 200 to `/sleep` all the same and then takes no calls until it is woken.
"""

import asyncio
from enum import StrEnum

from aiohttp import web

from tests.support.standin_aiohttp import Place

TAGS = frozenset({"weights", "kv_cache"})


class Manner(StrEnum):
    WELL = "well"
    NO_DEV_MODE = "no_dev_mode"
    DENIES = "denies"
    """Says in its configuration that it was started without sleep mode."""
    DOES_NOT_SLEEP = "does_not_sleep"
    """Agrees to sleep, says that it does not, and hangs."""
    HANGS_AFTER_SLEEP = "hangs_after_sleep"
    """Wakes, says so, and answers nothing."""
    FREES_NOTHING = "frees_nothing"
    """Says that it sleeps, and keeps its VRAM."""


class SleepingVllm(Place):
    """`vram_mib` is what it takes of a card that stands beside it."""

    def __init__(
        self,
        manner: Manner = Manner.WELL,
        *,
        awake_mib: int = 1000,
        asleep_mib: int = 50,
        embeds: bool = False,
    ) -> None:
        super().__init__()
        self.manner = manner
        self.awake_mib, self.asleep_mib = awake_mib, asleep_mib
        self.embeds = embeds
        self.asked: list[str] = []
        self.asleep: frozenset[str] = frozenset()
        self.level = 0
        self.loaded = True
        self.hangs = False

    @property
    def vram_mib(self) -> int:
        sleeps = bool(self.asleep) and self.manner is not Manner.FREES_NOTHING
        return self.asleep_mib if sleeps else self.awake_mib

    def routes(self) -> list[web.RouteDef]:
        common = [
            web.get("/health", self._health),
            web.get("/v1/models", self._models),
            web.post("/v1/completions", self._completions),
            web.post("/v1/embeddings", self._embeddings),
        ]
        if self.manner is Manner.NO_DEV_MODE:
            return common
        return [
            *common,
            web.post("/sleep", self._sleep),
            web.post("/wake_up", self._wake_up),
            web.get("/is_sleeping", self._is_sleeping),
            web.post("/collective_rpc", self._collective_rpc),
            web.get("/server_info", self._server_info),
        ]

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "sleeper"}]})

    async def _completions(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        if self.embeds:
            return web.json_response({"error": {"message": "this model does not generate"}}, status=400)
        await self._while_it_hangs()
        return web.json_response({"choices": [{"text": "."}]})

    async def _embeddings(self, request: web.Request) -> web.Response:
        self.asked.append("vector")
        if not self.embeds:
            return web.json_response({"error": {"message": "this model does not embed"}}, status=400)
        await self._while_it_hangs()
        return web.json_response({"data": [{"embedding": [0.0]}]})

    async def _while_it_hangs(self) -> None:
        while self.hangs or self.asleep or not self.loaded:
            await asyncio.sleep(0.01)

    async def _sleep(self, request: web.Request) -> web.Response:
        self.asked.append(f"sleep {request.query_string}")
        if self.manner is Manner.DOES_NOT_SLEEP:
            self.hangs = True
            return web.Response()
        self.level = int(request.query.get("level", "1"))
        self.asleep = TAGS
        self.loaded = self.level == 1
        return web.Response()

    async def _wake_up(self, request: web.Request) -> web.Response:
        self.asked.append(f"wake_up {request.query_string}".strip())
        self.hangs = self.manner is Manner.HANGS_AFTER_SLEEP
        self.asleep -= frozenset(request.query.getall("tags", [])) or TAGS
        return web.Response()

    async def _collective_rpc(self, request: web.Request) -> web.Response:
        method = (await request.json())["method"]
        self.asked.append(method)
        if "weights" in self.asleep:
            return web.Response(status=500)
        self.loaded = True
        return web.json_response({"results": [None]})

    async def _is_sleeping(self, request: web.Request) -> web.Response:
        return web.json_response({"is_sleeping": bool(self.asleep)})

    async def _server_info(self, request: web.Request) -> web.Response:
        config = {"model_config": {"enable_sleep_mode": self.manner is not Manner.DENIES}}
        return web.json_response({"vllm_config": config})
