"""Lives of swarms that replay pins down; `python -m tests.replay.swarm_histories` records them anew.

Record anew only for a change that `workflow.patched` guards, or before anything runs in production.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from activities.contracts.jobs import JobRef
from tests.support.house import Ground
from tests.support.standin import Reply
from tests.swarm.swarming import Model, Swarming, planned, swarming
from workflows.names import swarm_worker_id

HISTORIES = Path(__file__).parent / "histories_swarm"

Life = Callable[[Ground, Path], Awaitable[None]]


async def _keep(swarm: Swarming, ref: JobRef, name: str, *workers: str) -> None:
    client = swarm.house.ground.client
    ids = {name: f"swarm/{ref.job_id}"} | {f"{name}-{w}": swarm_worker_id(ref.job_id, w) for w in workers}
    for file, workflow_id in ids.items():
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        (HISTORIES / f"{file}.json").write_text(history.to_json() + "\n")


async def whole(ground: Ground, folder: Path) -> None:
    """A plan that is sent back, a task that is given up, a tree of passes, a synthesis that is sent back."""
    plans = [Reply(text="No."), planned(6)]
    said = [Reply(text="It is so [F99].")]

    def work(text: str) -> Reply:
        return Reply(status=400, error="no") if "part 1 " in text else Reply(text="So it is. " * 60)

    def join(text: str) -> Reply:
        last = "Answer the goal." in text
        return said.pop() if last and said else Reply(text="It is so [F1].")

    model = Model(lambda _: plans.pop(0), work=work, join=join)
    async with swarming(ground, folder, model, seat={"window_tokens": 6144}) as swarm:
        ref = await swarm.begin(tasks=6, workers=1)
        assert (await swarm.ended(ref))["status"] == "completed"
        await _keep(swarm, ref, "whole", "w1")


async def cancelled(ground: Ground, folder: Path) -> None:
    """A swarm that is cancelled while its workers are at work, and a claim has been renewed."""
    model = Model(lambda _: planned(2), work=lambda _: Reply(text="Never.", hold_after=0))
    async with swarming(ground, folder, model, seat={"call_s": 60.0}) as swarm:
        ref = await swarm.begin(tasks=2, workers=2, claim_ttl=timedelta(seconds=3))
        await swarm.model.arrived(3, within_s=30)
        await asyncio.sleep(2.5)
        await swarm.handle(ref).cancel()
        assert (await swarm.ended(ref))["status"] == "cancelled"
        await _keep(swarm, ref, "cancelled", "w1")


async def nothing(ground: Ground, folder: Path) -> None:
    """A swarm whose every call fails."""
    model = Model(lambda _: Reply(status=400, error="no"), work=lambda _: Reply(status=400, error="no"))
    async with swarming(ground, folder, model) as swarm:
        ref = await swarm.begin(tasks=2)
        assert (await swarm.ended(ref))["status"] == "failed"
        await _keep(swarm, ref, "nothing")


async def record() -> None:
    """Records them all."""
    HISTORIES.mkdir(exist_ok=True)
    lives: tuple[Life, ...] = (whole, cancelled, nothing)
    async with Ground.laid() as ground:
        for life in lives:
            with tempfile.TemporaryDirectory() as folder:
                await life(ground, Path(folder))


if __name__ == "__main__":
    asyncio.run(record())
