"""Burst as it is configured, and what the checks of all leases see and do."""

from dataclasses import dataclass
from datetime import timedelta

from activities.contracts.burst import BurstRules, PoolPressure
from activities.contracts.lease_views import Ending, LeaseAsk, LeasePlan, LeaseView, Spending
from activities.contracts.leases import Purpose

VAST_URL = "https://console.vast.ai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """`[burst]`. Without an `installation` there is none, and nothing is ever asked of the market.

    Not `enabled`, it rents nothing, but gives back what there is. `most` leases may have a box at once, all pools
    together. All leases are checked against their caps every `check`, and the market's list against the leases
    every `reap`; `dry_run` has strays be told of, and left alone.
    """

    enabled: bool = False
    installation: str = ""
    base_url: str = VAST_URL
    day_usd: float | None = 20.0
    month_usd: float | None = 200.0
    most: int = 1
    check: timedelta = timedelta(seconds=30)
    reap: timedelta = timedelta(minutes=1)
    dry_run: bool = False
    plans: tuple[LeasePlan, ...] = ()
    rules: tuple[BurstRules, ...] = ()

    def plan(self, purpose: Purpose) -> LeasePlan | None:
        """What a lease for this goes by; None where nothing is configured for it."""
        return next((each for each in self.plans if each.purpose is purpose), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstSight:
    """What the check decides on. `leases` are the open ones, and those that ended within hours."""

    burst: Burst
    spending: Spending
    leases: tuple[LeaseView, ...] = ()
    pressures: tuple[PoolPressure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstActs:
    """What the check wants done."""

    asks: tuple[LeaseAsk, ...] = ()
    ends: tuple[Ending, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """An instance of ours that no lease knows, and why that is said."""

    instance: str
    label: str
    lease_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What one look of the reaper came to.

    `unknown` says why the market's list could not be relied on: then nothing was destroyed. `left` are strays that
    are still there: a dry run, or the market did not end them. `woken` are leases whose workflow was seen to.
    """

    seen: int = 0
    destroyed: tuple[Stray, ...] = ()
    left: tuple[Stray, ...] = ()
    unknown: str = ""
    woken: int = 0
