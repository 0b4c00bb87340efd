"""Pools as the workers that serve them tell of them: members, their room and health, and how long calls wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from activities.contracts.backends import Locality

WAIT_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 900_000)
"""Upper bounds of the buckets that waits are counted in; one more bucket holds what is longer."""


class MemberHealth(StrEnum):
    """Whether calls go to a member.

    UP: they do. DOWN: its health check fails. BARRED: its breaker is open. PARKED: its card is asleep, or it is
    not on it. DRAINING: it finishes what it has. OFFLINE: it joined, and has missed its heartbeats.
    """

    UP = "up"
    DOWN = "down"
    BARRED = "barred"
    PARKED = "parked"
    DRAINING = "draining"
    OFFLINE = "offline"


class MemberSource(StrEnum):
    """Where a member comes from: the configuration, or a heartbeat by which it joined."""

    CONFIGURED = "configured"
    JOINED = "joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFigures:
    """What a member's own metrics say; None where its engine does not tell. Shares are 0 to 1.

    `prefix_hits` and `draft_acceptance` are of the time since the engine started.
    """

    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None
    asleep: bool | None = None
    prefix_hits: float | None = None
    draft_acceptance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """A member, as one worker process sees it.

    `slots` is what it is configured with, `foreign` how many of them others than us take (by its own metrics),
    `share` how many this process may use now, `used` how many it does.
    """

    backend: str
    model: str
    locality: Locality
    source: MemberSource
    slots: int
    health: MemberHealth
    share: int = 0
    used: int = 0
    foreign: int = 0
    why: str = ""
    breaker: str = "closed"
    card: str | None = None
    engine: EngineFigures = field(default_factory=EngineFigures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long calls waited for a slot: counts by the buckets of `WAIT_BOUNDS_MS`, one more for what is longer.

    `recent` counts the last five minutes or so, `ever` all since the process started; `sum_ms` belongs to `ever`.
    """

    recent: tuple[int, ...] = (0,) * (len(WAIT_BOUNDS_MS) + 1)
    ever: tuple[int, ...] = (0,) * (len(WAIT_BOUNDS_MS) + 1)
    sum_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool, as one worker process sees it. `running` are the turns whose calls it has in hand."""

    pool: str
    members: tuple[MemberView, ...] = ()
    waits: Waits = field(default_factory=Waits)
    running: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """How many calls this process may have in hand."""
        return sum(member.share for member in self.members if member.health is MemberHealth.UP)

    @property
    def used(self) -> int:
        """How many it has."""
        return sum(member.used for member in self.members)


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """The wait that so large a share of the counted ones did not exceed, by linear interpolation in its bucket.

    None where nothing was counted; the last bound where it lies beyond.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank, seen, lower = share * total, 0, 0.0
    for count, upper in zip(counts, WAIT_BOUNDS_MS, strict=False):
        if count and seen + count >= rank:
            return lower + (upper - lower) * (rank - seen) / count
        seen, lower = seen + count, float(upper)
    return float(WAIT_BOUNDS_MS[-1])
