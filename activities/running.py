"""Which turns' model calls this process is running, so that a cancel reaches them at once."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class RunningCalls:
    """The calls at work, by turn. Temporal's own cancellation comes with a heartbeat, seconds later."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._cancelled: set[str] = set()

    @contextmanager
    def track(self, turn_id: str) -> Generator[None]:
        """Lets `cancel` reach the current task while the block runs."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[turn_id] = task
        try:
            yield
        finally:
            if self._tasks.get(turn_id) is task:
                del self._tasks[turn_id]
            self._cancelled.discard(turn_id)

    def cancel(self, turn_id: str) -> None:
        """Cancels the turn's call, if it runs here."""
        task = self._tasks.get(turn_id)
        if task is not None and turn_id not in self._cancelled:
            self._cancelled.add(turn_id)
            task.cancel()

    def was_cancelled(self, turn_id: str) -> bool:
        """Whether it was `cancel` that ended the turn's call."""
        return turn_id in self._cancelled
