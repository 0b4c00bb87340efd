"""What admission adds to a call: `python -m benchmarks.admission [--calls 100]`.

A workflow that makes one empty call, on an idle pool that admits it (a permit, a seat at the member with the most
room, shares renewed in PostgreSQL all the while) and on a queue whose worker has a fixed number of slots; in turn,
in one process with the real Temporal server, so trust the difference, not the milliseconds.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

from temporalio import activity
from temporalio.worker import Worker

from activities.ports import Seat as Taken
from benchmarks.admission_call import AdmissionCall
from infra.postgres.shares import PostgresShares
from tests.ladder.seats import Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import StandIn
from workers.pools.identity import worker_id
from workers.pools.sharing import Sharing
from workers.pools.slots import pool_tuner
from workers.sandbox import workflow_runner

SLOTS = 16
WARM_UP = 10


async def measure(calls: int) -> None:
    """Measures and prints."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(Ground.laid())
        standin = await stack.enter_async_context(StandIn())
        house = await stack.enter_async_context(
            ground.house(laid_out([Seat(name="member", standin=standin, slots=SLOTS)]), pools=False)
        )
        desk = house.parts.desk
        (name, pool), *_ = desk.pools.items()
        sharing = Sharing(desk, PostgresShares(ground.database), worker_id())
        await sharing.renew()
        renewing = asyncio.create_task(sharing.run())

        @activity.defn(name="admission-call")
        async def admitted() -> None:
            async with desk.take(name, turn_id=activity.info().activity_id) as seat:
                assert isinstance(seat, Taken)
                desk.breakers.report("member", seat.ticket, None)

        @activity.defn(name="admission-call")
        async def bare() -> None:
            return None

        fixed, starts = f"bare-{uuid4().hex[:8]}", f"starts-{uuid4().hex[:8]}"
        for worker in (
            Worker(
                ground.client, task_queue=starts, workflows=[AdmissionCall], workflow_runner=workflow_runner()
            ),
            Worker(ground.client, task_queue=name, activities=[admitted], tuner=pool_tuner(pool)),
            Worker(ground.client, task_queue=fixed, activities=[bare], max_concurrent_activities=SLOTS),
        ):
            await stack.enter_async_context(worker)

        taken: dict[str, list[float]] = {name: [], fixed: []}
        for number in range(calls + WARM_UP):
            for queue, times in taken.items():
                began = time.perf_counter()
                await ground.client.execute_workflow(
                    AdmissionCall.run, queue, id=f"admission-{uuid4().hex}", task_queue=starts
                )
                if number >= WARM_UP:
                    times.append((time.perf_counter() - began) * 1000)
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        for queue, label in ((fixed, "bare activity"), (name, "admitted call")):
            cuts = statistics.quantiles(taken[queue], n=20)
            print(f"{label:28}{statistics.median(taken[queue]):8.2f} / {cuts[-1]:.2f} ms p50/p95")
        added = statistics.median(taken[name]) - statistics.median(taken[fixed])
        print(f"{'admission adds':28}{added:8.2f} ms p50")


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admission", description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="calls of each kind (%(default)d)")
    asyncio.run(measure(parser.parse_args().calls))


if __name__ == "__main__":
    main()
