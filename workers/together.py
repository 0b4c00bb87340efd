"""Blocks that are left at the same time, so that a process with several fleets drains once, not once a fleet."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self


class Together:
    """Enters blocks one after the other and leaves them all at once, each in a task of its own.

    A block that fails meanwhile cancels the task that entered this, and its failure comes out of the end of it: as a
    worker's does that is entered by that task itself.
    """

    def __init__(self) -> None:
        self._left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: list[BaseException] = []
        self._owner: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
        if self._failures:
            raise self._failures[0]

    async def enter(self, block: AbstractAsyncContextManager[object]) -> None:
        """Enters the block. Raises what entering it raises."""
        entered = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._hold(block, entered)))
        await entered

    async def leave(self) -> None:
        """Leaves all of them, and waits until the last has been left."""
        self._left.set()
        await asyncio.gather(*self._tasks)

    async def _hold(
        self, block: AbstractAsyncContextManager[object], entered: "asyncio.Future[None]"
    ) -> None:
        try:
            async with block:
                entered.set_result(None)
                await self._left.wait()
        # A worker that fails cancels the task that holds it: whatever comes out of here is a failure of the block.
        except BaseException as error:
            if not entered.done():
                entered.set_exception(error)
                return
            self._failures.append(error)
            if self._owner is not None and not self._left.is_set():
                self._owner.cancel()
