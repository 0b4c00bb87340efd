"""ComfyUI: it runs by itself, loads models as jobs want them, and frees them when told.

`POST /free` only leaves a wish, which its worker takes up between two jobs; `GET /system_stats` tells what its
process still holds (github.com/comfyanonymous/ComfyUI, server.py).
"""

import asyncio
import time
from typing import Any, cast

import aiohttp

from activities.contracts.cards import Found, Residency, Resident
from activities.errors import MoveFailed
from infra.hosts.asking import POLL_S, NobodyThere, ask
from infra.hosts.listeners import Generations

FREE_S = 15.0
"""How long freeing may take once nothing runs any more."""
CRUMBS = 0.1
"""Which part of its MiB may stay behind: allocators keep a little."""
MIB = 1024 * 1024


class ComfyHost:
    """Implements `activities.hosting.ModelHost`. To be awake it needs no more than to be there."""

    def __init__(self, session: aiohttp.ClientSession, *, free_s: float = FREE_S) -> None:
        self._session = session
        self._generations = Generations()
        self._free_s = free_s
        self._allowed: dict[str, bool] = {}
        """Whether the card has let it load models; what it holds alone does not tell, between two jobs."""

    async def bring(self, resident: Resident, to: Residency) -> None:
        """See `ModelHost`. Freeing waits for the job that runs, for as long as `start_timeout`."""
        if to is Residency.AWAKE:
            await self._held_mib(resident)
        elif to is Residency.ASLEEP:
            await self._free(resident)
        else:
            raise MoveFailed(f"{resident.name} runs by itself: it can be awake or asleep, not {to}")
        self._allowed[resident.name] = to is Residency.AWAKE

    async def find(self, resident: Resident) -> Found:
        """See `ModelHost`."""
        try:
            held = await self._held_mib(resident)
        except NobodyThere as error:
            return Found(resident=resident.name, residency=Residency.ABSENT, why=error.message)
        except MoveFailed as error:
            return Found(resident=resident.name, residency=Residency.UNKNOWN, why=error.message)
        awake = self._allowed.get(resident.name, False) or held > _crumbs(resident)
        residency = Residency.AWAKE if awake else Residency.ASLEEP
        generation = await self._generations.at(resident.base_url)
        return Found(resident=resident.name, residency=residency, generation=generation)

    async def taken_mib(self, resident: Resident) -> int | None:
        """See `ModelHost`: what its allocator has reserved."""
        return await self._held_mib(resident)

    async def _free(self, resident: Resident) -> None:
        wish = {"unload_models": True, "free_memory": True}
        status, _ = await ask(self._session, "POST", resident, "/free", body=wish)
        if status >= 300:
            raise MoveFailed(f"POST {resident.base_url}/free says {status}")
        began = idle_since = time.monotonic()
        while (held := await self._held_mib(resident)) > _crumbs(resident):
            now = time.monotonic()
            if await self._runs_a_job(resident):
                idle_since = now
            if now - idle_since > self._free_s or now - began > resident.start_timeout.total_seconds():
                raise MoveFailed(
                    f"{resident.name} still holds {held} MiB {now - began:.0f} s after it was told to free"
                    f" them; {_crumbs(resident)} may stay"
                )
            await asyncio.sleep(POLL_S)

    async def _held_mib(self, resident: Resident) -> int:
        """What its process has reserved on its GPU; 0 where it computes without one."""
        status, said = await ask(self._session, "GET", resident, "/system_stats")
        devices = said.get("devices")
        if status != 200 or not isinstance(devices, list) or not devices:
            raise MoveFailed(f"GET {resident.base_url}/system_stats says {status} and no device")
        first: object = cast("list[object]", devices)[0]
        device = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
        reserved = device.get("torch_vram_total")
        # Without a GPU it reports the machine's memory as if it had reserved it.
        if device.get("type") == "cpu" or not isinstance(reserved, int | float):
            return 0
        return int(reserved) // MIB

    async def _runs_a_job(self, resident: Resident) -> bool:
        _, said = await ask(self._session, "GET", resident, "/queue")
        return bool(said.get("queue_running"))


def _crumbs(resident: Resident) -> int:
    return max(resident.asleep_mib, round(resident.mib * CRUMBS))
