"""What a hold of a GPU card takes: `python -m benchmarks.holds [--holds 100]`.

A workflow that asks a card for room that is free, and lets go, again and again: from the ask to the grant by the
workflow's own time, on a real Temporal server. Nothing is moved, so this is the protocol alone.
"""

import argparse
import asyncio
import statistics
from uuid import uuid4

from temporalio.worker import Worker

from activities.contracts.cards import CardSpec
from tests.support.holders import Holder, Wish
from tests.support.house import Ground
from workers.sandbox import workflow_runner
from workflows.starts import ensure_card

WARM_UP = 10


async def measure(holds: int) -> None:
    """Measures and prints."""
    card, queue = f"bench-{uuid4().hex[:6]}/0", f"holders-{uuid4().hex[:6]}"
    async with Ground.laid() as ground:
        await ensure_card(ground.client, CardSpec(card=card, vram_mib=1000))
        async with Worker(
            ground.client, task_queue=queue, workflows=[Holder], workflow_runner=workflow_runner()
        ):
            wish = Wish(card=card, mib=10, rounds=holds + WARM_UP)
            handle = await ground.client.start_workflow(
                Holder.run, wish, id=f"holder-{uuid4().hex}", task_queue=queue
            )
            await handle.result()
            waits = (await handle.query(Holder.waits))[WARM_UP:]
    cuts = statistics.quantiles(waits, n=20)
    print(f"{'a hold without a move':28}{statistics.median(waits):8.2f} / {cuts[-1]:.2f} ms p50/p95")


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.holds", description=__doc__)
    parser.add_argument("--holds", type=int, default=100, help="holds to measure (%(default)d)")
    asyncio.run(measure(parser.parse_args().holds))


if __name__ == "__main__":
    main()
