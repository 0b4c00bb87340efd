"""Lives of leases that replay pins down; `python -m tests.replay.lease_histories` records them anew.

Record anew only for a change that `workflow.patched` guards, or before anything runs in production.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from activities.contracts.lease_views import Agreement
from activities.contracts.leases import LeaseState
from tests.burst.estate import QUICK, Estate, estate
from tests.support.house import Ground
from tests.support.standin_vast_faults import Boot, Fault, Op

HISTORIES = Path(__file__).parent / "histories_leases"

Life = Callable[[Estate], Awaitable[str]]


async def whole(opened: Estate) -> str:
    """Quoted, rented, joined, served, idle, gone."""
    lease_id = await opened.ask()
    await opened.ended(lease_id)
    return lease_id


async def troubled(opened: Estate) -> str:
    """An offer that is gone, an order whose answer is lost, a boot that fails, a replacement, an end by force."""
    opened.market.faults.once(Op.CREATE, Fault.GONE, Fault.RESET_AFTER)
    opened.market.faults.once(Op.SEARCH, Fault.ERROR)
    opened.market.faults.boot(Boot.EXITS)
    lease_id = await opened.ask(timing=replace(QUICK, idle=timedelta(hours=1)))
    await opened.until(lease_id, LeaseState.SERVING)
    await opened.handle(lease_id).cancel()
    await opened.ended(lease_id)
    return lease_id


async def agreed(opened: Estate) -> str:
    """A person is asked, and agrees."""
    lease_id = await opened.ask(agreement=Agreement.ASK)
    await opened.decide(lease_id, "approve")
    await opened.ended(lease_id)
    return lease_id


async def refused(opened: Estate) -> str:
    """A person is asked, and does not agree."""
    lease_id = await opened.ask(agreement=Agreement.ASK)
    await opened.decide(lease_id, "deny")
    await opened.ended(lease_id)
    return lease_id


LIVES: dict[str, Life] = {each.__name__: each for each in (whole, troubled, agreed, refused)}


async def record() -> None:
    HISTORIES.mkdir(exist_ok=True)
    async with Ground.laid() as ground:
        for name, life in LIVES.items():
            with tempfile.TemporaryDirectory() as folder:
                async with estate(ground, Path(folder)) as opened:
                    lease_id = await life(opened)
                    handle = opened.handle(lease_id)
                    await handle.result()
                    history = await handle.fetch_history()
                    (HISTORIES / f"{name}.json").write_text(history.to_json() + "\n")


if __name__ == "__main__":
    asyncio.run(record())
