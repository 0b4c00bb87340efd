"""The pool's permits as Temporal's worker takes them: one before each poll, back when the call is over."""

import asyncio
import contextlib
from typing import Any

from temporalio.worker import (
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
    WorkerTuner,
)

from workers.pools.pool import Pool

OTHERS = 1
"""A pool's worker runs nothing but calls; its tuner wants figures for the rest all the same."""


class PoolSlots(CustomSlotSupplier):
    """As many slots as the pool has permits, whatever happens to its members meanwhile.

    A worker reserves from the event loop and releases from threads of its own.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """Waits for a permit."""
        await self._pool.permit()
        return SlotPermit()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        """None: an eager call would pass by everybody who waits in the queue."""
        return None

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """Nothing: the call takes its seat by itself."""

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """Gives the permit back."""
        # A loop that has closed needs no permit any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pool.return_permit)


def pool_tuner(pool: Pool) -> WorkerTuner:
    """The tuner of the pool's worker."""
    rest: Any = FixedSizeSlotSupplier(OTHERS)
    return WorkerTuner.create_composite(
        workflow_supplier=rest,
        activity_supplier=PoolSlots(pool),
        local_activity_supplier=rest,
        nexus_supplier=rest,
    )
