"""How long calls waited for a slot, counted."""

import time
from bisect import bisect_left
from collections.abc import Callable

from activities.contracts.pools import WAIT_BOUNDS_MS, Waits

WINDOW_S = 150.0
"""Half of what counts as recent: the last whole window and the present one are told together."""
_BUCKETS = len(WAIT_BOUNDS_MS) + 1


class WaitCounts:
    """The waits of one pool."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._last, self._now, self._ever = ([0] * _BUCKETS for _ in range(3))
        self._sum_ms = 0

    def note(self, waited_ms: int) -> None:
        """One more call has waited so long."""
        self._turn()
        bucket = bisect_left(WAIT_BOUNDS_MS, waited_ms)
        self._now[bucket] += 1
        self._ever[bucket] += 1
        self._sum_ms += waited_ms

    def told(self) -> Waits:
        """The counts as they stand."""
        self._turn()
        recent = tuple(a + b for a, b in zip(self._last, self._now, strict=True))
        return Waits(recent=recent, ever=tuple(self._ever), sum_ms=self._sum_ms)

    def _turn(self) -> None:
        age = self._clock() - self._began
        if age < WINDOW_S:
            return
        self._last = self._now if age < 2 * WINDOW_S else [0] * _BUCKETS
        self._now = [0] * _BUCKETS
        self._began = self._clock()
