"""One batch against one design: latency alone, throughput and CPU under load, the size of a history."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field

import msgspec
from temporalio.client import Client

from benchmarks.designs.stack import Pair, Part
from benchmarks.designs.wire import HttpClient

INPUT = "What is the least machine that can answer this question, and what does it cost? " * 4
PATIENCE_S = 5


@dataclass(slots=True)
class Sample:
    """What was seen of one design, over all rounds."""

    added_ms: list[float] = field(default_factory=list[float])
    per_second: list[float] = field(default_factory=list[float])
    drained_per_second: list[float] = field(default_factory=list[float])
    cpu_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    marks: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stalled: int = 0
    events: int = 0
    bytes: int = 0

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.added_ms, n=100, method="inclusive")[percent - 1]

    def cpu(self, part: str) -> float:
        return statistics.median(self.cpu_ms[part])

    def cpu_total(self) -> float:
        return sum(self.cpu(part) for part in self.cpu_ms)


async def bare(backend: HttpClient, delay_ms: int, count: int) -> float:
    """Median milliseconds of a call to the backend alone."""
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await backend.post(f"/{delay_ms}", INPUT.encode())
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


async def ask(api: HttpClient, delay_ms: int) -> dict[str, float]:
    """One turn: the moments on its way, by wall clock."""
    sent = time.time()
    async with asyncio.timeout(PATIENCE_S):
        reply = await api.post("/turns", msgspec.json.encode({"input": INPUT, "delay_ms": delay_ms}))
    done = time.time()
    told = msgspec.json.decode(reply)
    return {"sent": sent, **told["marks"], "done": done, "turn_id": told["turn_id"]}


async def quiet(part: Part) -> float:
    """The moment from which the part used no CPU to speak of: what it had to do is done."""
    seen, since = part.cpu_s(), time.perf_counter()
    while time.perf_counter() - since < 0.25:
        await asyncio.sleep(0.025)
        now = part.cpu_s()
        if now - seen > 0.015:
            seen, since = now, time.perf_counter()
    return since


async def alone(sample: Sample, pair: Pair, backend: HttpClient, *, delay_ms: int, turns: int) -> None:
    """Turns one after the other: added latency over the bare backend."""
    api = HttpClient("127.0.0.1", pair.port)
    base = await bare(backend, delay_ms, 5)
    for _ in range(turns):
        try:
            marks = await ask(api, delay_ms)
        except TimeoutError:
            sample.stalled += 1
            continue
        sample.added_ms.append(1000 * (marks["done"] - marks["sent"]) - base)
        sample.marks.append(marks)
    api.close()


async def crowd(
    sample: Sample, pair: Pair, servers: dict[str, Part], *, turns: int, concurrency: int = 50
) -> None:
    """Turns at once on an instant backend: turns a second, and CPU until all is closed."""
    api = HttpClient("127.0.0.1", pair.port)
    parts = {"temporal": servers["temporal"], "worker": pair.worker, "api": pair.api}
    parts |= {name: servers[name] for name in ("postgres", "redis")}
    await quiet(servers["temporal"])
    before = {name: part.cpu_s() for name, part in parts.items()}
    left = iter(range(turns))
    began = time.perf_counter()

    async def client() -> None:
        for _ in left:
            try:
                await ask(api, 0)
            except TimeoutError:
                sample.stalled += 1
                return

    await asyncio.gather(*(client() for _ in range(concurrency)))
    replied = time.perf_counter()
    closed = max(replied, await quiet(servers["temporal"]))
    sample.per_second.append(turns / (replied - began))
    sample.drained_per_second.append(turns / (closed - began))
    for name, part in parts.items():
        sample.cpu_ms.setdefault(name, []).append(1000 * (part.cpu_s() - before[name]) / turns)
    api.close()


async def history(sample: Sample, client: Client) -> None:
    """Events and bytes of the last turn's workflow."""
    handle = client.get_workflow_handle(f"turn/{sample.marks[-1]['turn_id']}")
    await handle.result()
    info = (await handle.describe()).raw_description.workflow_execution_info
    sample.events, sample.bytes = info.history_length, info.history_size_bytes
