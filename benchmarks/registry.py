"""What a thousand services cost that say every thirty seconds that they are there."""

import asyncio
import json
import time

from activities.contracts.registry import HEARTBEAT_EVERY
from benchmarks.figures import Section
from benchmarks.processes import cpu_of
from benchmarks.product import BenchError, Product
from benchmarks.wire import Wire, post

SERVICES = 1000
CONNECTIONS = 200
PARTS = ("api", "postgres")
AIM_PERCENT = 2.0


async def registry(product: Product, seconds: float) -> Section:
    """CPU of their heartbeats, over as many seconds with them as without."""
    beats_a_second = SERVICES / HEARTBEAT_EVERY.total_seconds()
    wires = [Wire(product.stack.port("api")) for _ in range(CONNECTIONS)]
    section = Section(f"registry: {SERVICES} services, {beats_a_second:.0f} heartbeats a second")
    try:
        before = _cpu(product)
        await asyncio.gather(*(_all(product, wires, nth) for nth in range(CONNECTIONS)))
        first = _since(product, before)
        await asyncio.sleep(2)
        before = _cpu(product)
        await asyncio.sleep(seconds)
        idle = _since(product, before)
        before, began = _cpu(product), time.perf_counter()
        count = round(seconds * beats_a_second)
        for nth in range(count):
            await asyncio.sleep(max(0.0, began + nth / beats_a_second - time.perf_counter()))
            await _beat(product, wires, nth % SERVICES, load=nth % 7 / 7)
        # The last ones are written a second later.
        await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
        took = time.perf_counter() - began
        busy = _since(product, before)
    finally:
        for wire in wires:
            wire.close()
    percent = 0.0
    for part in PARTS:
        own = max(0.0, busy[part] - idle[part] * took / seconds)
        percent += 100 * own / took
        section.add(f"CPU of a heartbeat, {part}", 1000 * own / count, "ms", digits=2)
    section.add("all of them, of one processor", percent, "%", AIM_PERCENT, digits=2)
    section.add("CPU of a first heartbeat, both", 1000 * sum(first.values()) / SERVICES, "ms", digits=2)
    section.add("without heartbeats, of one processor", 100 * sum(idle.values()) / seconds, "%", digits=2)
    return section


async def _all(product: Product, wires: list[Wire], connection: int) -> None:
    """The first heartbeats of the services on that connection."""
    for nth in range(connection, SERVICES, CONNECTIONS):
        await _beat(product, wires, nth, load=0)


async def _beat(product: Product, wires: list[Wire], nth: int, *, load: float) -> None:
    body = {
        "service": f"bench/{nth:04}",
        "kind": "other",
        "version": "1.4.2",
        "capabilities": ["images", "upscaling"],
        "load": load,
        "metadata": {"host": f"box-{nth % 50}", "pid": 4000 + nth, "gpu": "RTX 5090", "region": "basement"},
    }
    headers = {"authorization": f"Bearer {product.stack.api_key}"}
    request = post("/v1/registry/heartbeat", json.dumps(body).encode(), headers)
    heard = await wires[nth % CONNECTIONS].call(request)
    if heard.status != 200:
        raise BenchError(f"a heartbeat was answered {heard.status}: {heard.body[:200]!r}")


def _cpu(product: Product) -> dict[str, float]:
    pids = product.pids
    return cpu_of({part: pids[part] for part in PARTS})


def _since(product: Product, before: dict[str, float]) -> dict[str, float]:
    return {part: seconds - before[part] for part, seconds in _cpu(product).items()}
