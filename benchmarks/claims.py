"""Claims a second against workers, over the product's own ledger: `python -m benchmarks.claims`.

Each worker claims a task, completes it (with one finding, unless `--bare`) and goes for the next, until none is
left. The embedder answers at once, so what is measured is the ledger, memory and Qdrant. Runs Qdrant in-process in
a temporary directory, or on the server of AITHER_TEST_QDRANT_URL. Fails if any task was claimed twice.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import uvloop

from activities.contracts.ledger import ClaimAsk, ClaimRef, CompleteAsk, NewFinding, PutTasks
from activities.contracts.swarm import Task
from activities.swarm_store import SwarmStore
from benchmarks.figures import Section, load_average, warning
from benchmarks.product import BenchError
from infra.ids import new_id
from infra.qdrant.ledger import QdrantLedger
from infra.qdrant.local import LocalQdrant
from infra.qdrant.memory import QdrantMemory
from infra.qdrant.points import Qdrant
from infra.qdrant.server import ServerQdrant
from workflows.policy import claims

TENANT = "bench"
WORKERS = (1, 10, 100, 1000)
HEADERS = ("workers", "tasks", "claims/s", "claim p50 ms", "p99 ms", "CPU ms a task", "twice")


class Instant:
    """An embedder that costs nothing."""

    name = "instant"

    async def embed(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] * 384 for _ in texts]


def opened(folder: str) -> AbstractAsyncContextManager[Qdrant]:
    url = os.environ.get("AITHER_TEST_QDRANT_URL")
    if url:
        return ServerQdrant.connected(url, os.environ.get("AITHER_TEST_QDRANT_API_KEY"))
    return LocalQdrant.opened(Path(folder))


def put(goal: str, count: int) -> PutTasks:
    tasks = tuple(
        Task(
            id=claims.task_id(goal, str(place)),
            goal_id=goal,
            tenant_id=TENANT,
            place=place,
            title=f"part {place}",
            text="look into this part of the engine " * 10,
        )
        for place in range(count)
    )
    return PutTasks(tenant_id=TENANT, goal_id=goal, tasks=tasks)


async def measure(qdrant: Qdrant, workers: int, tasks: int, bare: bool) -> list[str]:
    store = SwarmStore(QdrantLedger(qdrant, claims), QdrantMemory(qdrant, "bench", Instant()), claims)  # type: ignore[arg-type]
    goal = new_id("goal")
    await store.put_tasks(put(goal, tasks))
    taken, times = Counter[str](), list[float]()
    found = (NewFinding(text="it is sound", confidence=0.9),)

    async def work(owner: str) -> None:
        while True:
            began = time.perf_counter()
            reply = await store.claim(ClaimAsk(tenant_id=TENANT, goal_id=goal, owner=owner))
            if reply.claim is None:
                return
            times.append(time.perf_counter() - began)
            taken[reply.claim.task.id] += 1
            if not bare:
                await store.complete(CompleteAsk(claim=ClaimRef.of(reply.claim), findings=found))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(f"worker-{number}") for number in range(workers)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    times.sort()
    twice = sum(count - 1 for count in taken.values())
    assert len(taken) == tasks, f"{tasks - len(taken)} tasks were never claimed"
    p50, p99 = (1000 * times[int(len(times) * share)] for share in (0.5, 0.99))
    return [
        str(workers),
        str(tasks),
        f"{tasks / took:.0f}",
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{1000 * cpu / tasks:.2f}",
        str(twice),
    ]


SIZES = ((1, 500), (10, 2000), (100, 2000), (1000, 2000))
"""Workers and tasks."""


async def claims_a_second() -> Section:
    """Claims, each with its completion and a finding, by so many workers. Raises `BenchError` for one made twice."""
    section = Section("claims: the swarm's ledger alone, each claim completed with a finding")
    for workers, tasks in SIZES:
        with tempfile.TemporaryDirectory(prefix="aither-claims-") as folder:
            async with opened(folder) as qdrant:
                row = await measure(qdrant, workers, tasks, bare=False)
        if int(row[-1]):
            raise BenchError(f"{row[-1]} of {tasks} tasks were claimed twice by {workers} workers")
        section.add(f"{workers} worker{'s' * (workers > 1)}, {tasks} tasks", float(row[2]), "/s", digits=0)
    return section


async def main(options: argparse.Namespace) -> int:
    load = load_average()
    what = "claims alone" if options.bare else "claims and completions with a finding each"
    sys.stdout.write(f"{what}; load average {load:.2f}\n" + "  ".join(f"{h:>13}" for h in HEADERS) + "\n")
    twice = 0
    for workers in options.workers:
        tasks = options.tasks if workers > 1 else min(options.tasks, 2000)
        with tempfile.TemporaryDirectory(prefix="aither-claims-") as folder:
            async with opened(folder) as qdrant:
                row = await measure(qdrant, workers, tasks, options.bare)
        twice += int(row[-1])
        sys.stdout.write("  ".join(f"{cell:>13}" for cell in row) + "\n")
        sys.stdout.flush()
    if remark := warning(load):
        sys.stdout.write(remark + "\n")
    return 1 if twice else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--bare", action="store_true", help="claim only, complete nothing")
    sys.exit(uvloop.run(main(parser.parse_args())))
