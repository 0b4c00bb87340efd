"""What a swarm costs beside its models: `python -m benchmarks.swarm [--workers 1 10 100] [--tasks 200]`.

A house with a model that answers at once, real Temporal, PostgreSQL, Redis and a ledger in a directory, all in one
process and on one machine: tasks a second from the first claim to the last finding, and what a task costs in time.
"""

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from activities.contracts.swarm import Role
from tests.support.house import Ground
from tests.support.standin import Reply
from tests.swarm.swarming import Model, planned, swarming

WARM_UP = 10
SLOTS = 1000


def quick(_: str) -> Reply:
    return Reply(text='{"findings": [{"text": "It is sound", "confidence": 0.9}]}')


async def measure(workers: list[int], tasks: int) -> None:
    """Measures and prints."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(Ground.laid())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aither-swarm-")))
        print(f"{'workers':>8} {'tasks':>7} {'seconds':>8} {'tasks/s':>8} {'ms/task':>8} {'events':>8}")
        for number in (0, *workers):
            await _one(
                ground, folder / str(number), number or 2, tasks if number else WARM_UP, shown=number > 0
            )


async def _one(ground: Ground, folder: Path, workers: int, tasks: int, *, shown: bool) -> None:
    model = Model(lambda _: planned(tasks), work=quick, join=lambda _: Reply(text="All is sound [F1]."))
    seat = {"slots": SLOTS, "window_tokens": 2_000_000, "call_s": 120.0, "patience_s": 600.0}
    folder.mkdir()
    async with swarming(ground, folder, model, seat=seat) as swarm:
        swarm.patience_s = 3600.0
        ref = await swarm.begin(tasks=tasks, workers=workers, claim_ttl=timedelta(minutes=10))
        await swarm.until(ref, lambda event: event.kind == "job.phase" and event.data["phase"] == "working")
        began = time.perf_counter()
        await swarm.until(
            ref, lambda event: event.kind == "job.phase" and event.data["phase"] == "synthesizing"
        )
        took = time.perf_counter() - began
        job = await swarm.ended(ref)
        assert job["tasks"]["done"] == job["result"]["read"] == tasks, job["tasks"]
        assert len(model.asked[Role.WORKER]) == tasks, "a task was done twice"
        if shown:
            description = await swarm.handle(ref).describe()
            events = description.history_length
            print(
                f"{workers:>8} {tasks:>7} {took:>8.1f} {tasks / took:>8.1f} {took / tasks * 1000:>8.1f} {events:>8}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--tasks", type=int, default=200)
    options = parser.parse_args()
    asyncio.run(measure(options.workers, options.tasks))


if __name__ == "__main__":
    main()
