"""How soon a pool follows a member that joins, dies, comes back and leaves, as `/v1/scheduler` tells it."""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx2

from benchmarks.figures import Section
from benchmarks.product import STAND_IN, BenchError, Product
from tests.support.standin import StandIn

AIM_S = 3.0
LIMIT_S = 30.0
LOOK_S = 0.05
NAME = "joined"
POOL = f"llm-{STAND_IN}"


async def following(product: Product, rounds: int) -> Section:
    """Each change, some times over."""
    taken: dict[str, list[float]] = {"joins": [], "dies": [], "comes back": [], "leaves": []}
    async with (
        httpx2.AsyncClient(base_url=product.stack.api_url, headers=product.stack.headers) as api,
        StandIn(models=(STAND_IN,)) as member,
    ):
        beat: dict[str, Any] = {
            "service": NAME,
            "kind": "backend",
            "backend": {
                "pool": POOL,
                "base_url": member.url,
                "model": STAND_IN,
                "slots": 2,
                "window_tokens": 1_048_576,
            },
        }
        for _ in range(rounds):
            said = await api.post("/v1/registry/heartbeat", json=beat)
            if said.status_code != 200:
                raise BenchError(f"the heartbeat was refused: {said.text}")
            taken["joins"].append(await _until(api, lambda health: health == "up"))
            await member.refuse()
            taken["dies"].append(await _until(api, lambda health: health == "down"))
            await member.accept()
            taken["comes back"].append(await _until(api, lambda health: health == "up"))
            await api.delete(f"/v1/registry/{NAME}")
            taken["leaves"].append(await _until(api, lambda health: health is None))
    section = Section("pools: from a member's change to a pool that follows it")
    for what, times in taken.items():
        section.add(f"a member {what}, longest of {rounds}", max(times), "s", AIM_S)
        section.add(f"a member {what}, p50", statistics.median(times), "s")
    return section


async def _until(api: httpx2.AsyncClient, wanted: Callable[[str | None], bool]) -> float:
    """Seconds until the member's health is that; None is for one that is not there."""
    began = time.perf_counter()
    async with asyncio.timeout(LIMIT_S):
        while True:
            pool = (await api.get(f"/v1/scheduler/pools/{POOL}")).json()
            found = {member["backend"]: member["health"] for member in pool.get("members", [])}
            if wanted(found.get(NAME)):
                return time.perf_counter() - began
            await asyncio.sleep(LOOK_S)
