"""What burst decides on: how a pool is doing, and by which rules a box is rented for it."""

from dataclasses import dataclass
from datetime import timedelta

from activities.contracts.leases import Need, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPressure:
    """A pool as it is now. `slots` are those of members that are up, `used` how many of them are taken.

    `waiting` counts the calls that wait and are hard enough to rent for, `waited` is for how long the oldest of
    them has; `done_per_s` is how many calls the pool takes up in a second, 0 where that is not known.
    """

    pool: str
    slots: int
    used: int
    waiting: int
    waited: timedelta
    done_per_s: float = 0.0

    @property
    def saturated(self) -> bool:
        """Whether a call that comes now has to wait."""
        return self.used >= self.slots


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstRules:
    """When a pool gets a box, and when it goes.

    `threshold` is how long hard work waits before anything is rented, `boots_in` how long a box is known to take
    until it is of use, `most` how many leases the pool may have at once. `settle` is how long a new box serves
    before another is thought of; `rest` how long after a lease's end none is begun, twice that for each one in a
    row that failed, up to `longest_rest`. `idle` is after how long of doing nothing a box goes.
    """

    pool: str
    purpose: Purpose
    threshold: timedelta = timedelta(minutes=2)
    boots_in: timedelta = timedelta(minutes=8)
    most: int = 1
    settle: timedelta = timedelta(minutes=5)
    rest: timedelta = timedelta(minutes=5)
    longest_rest: timedelta = timedelta(hours=1)
    idle: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffersAsk:
    """Asks what the market has for a need, without renting any of it."""

    need: Need
