"""Leases as they are stored, seen and decided on. Ages are by the database's clock: no two clocks are compared."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from activities.contracts.boxes import BoxPlan
from activities.contracts.leases import InstanceState, LeaseState, Need, Purpose, RankedOffer


class Creation(StrEnum):
    """What is known of an attempt's order. INTENDED may have been sent; VOID came to nothing."""

    NONE = "none"
    INTENDED = "intended"
    MADE = "made"
    VOID = "void"


class Agreement(StrEnum):
    """Whether somebody must agree before a box is rented."""

    NEVER = "never"
    ASK = "ask"


class EndCode(StrEnum):
    """Why a lease ends, as a program reads it."""

    CANCELLED = "cancelled"
    IDLE = "idle"
    DENIED = "denied"
    LEASE_CAP = "lease_cap"
    DAY_CAP = "day_cap"
    MONTH_CAP = "month_cap"
    PRICE_RAISED = "price_raised"
    NO_OFFER = "no_offer"
    BOOT_FAILED = "boot_failed"
    BOX_FAILED = "box_failed"
    BOX_LOST = "box_lost"
    MARKET_REFUSED = "market_refused"
    SWITCHED_OFF = "switched_off"
    TOO_MANY = "too_many"

    @property
    def failure(self) -> bool:
        """Whether the lease did not do what it was for."""
        return self in {
            EndCode.NO_OFFER,
            EndCode.BOOT_FAILED,
            EndCode.BOX_FAILED,
            EndCode.BOX_LOST,
            EndCode.MARKET_REFUSED,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """How long each part of a lease may take, and how often it is looked at.

    `poll` is between two looks while something is waited for, `check` while it serves. `quote` bounds the search.
    `settle` is for how long an instance must not be seen before it counts as absent: an order that was lost may
    still be under way. `silence` is how long a box may say nothing.
    """

    quote: timedelta = timedelta(minutes=15)
    poll: timedelta = timedelta(seconds=10)
    check: timedelta = timedelta(seconds=30)
    settle: timedelta = timedelta(seconds=30)
    boot: timedelta = timedelta(minutes=20)
    join: timedelta = timedelta(minutes=5)
    load: timedelta = timedelta(minutes=30)
    silence: timedelta = timedelta(minutes=3)
    idle: timedelta = timedelta(minutes=15)
    drain: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePlan:
    """All that a lease goes by, fixed when it is asked for: a changed configuration leaves it as it is.

    `boxes` is how many may be had one after the other, the first included; `quotes` how many searches that found
    nothing (or nothing left) end it, `orders` how many orders. `tenant_id` is whose people are asked to agree.
    """

    purpose: Purpose
    pool: str
    installation: str
    need: Need
    image: str
    box: BoxPlan
    lease_usd: float
    tenant_id: str = "default"
    agreement: Agreement = Agreement.NEVER
    timing: LeaseTiming = field(default_factory=LeaseTiming)
    boxes: int = 2
    quotes: int = 4
    orders: int = 12


class Presence(StrEnum):
    """What the market says of an attempt's box: UNKNOWN where it said nothing that can be relied on."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSight:
    """Everything that the next step of a lease is decided on, as of one look. Seconds are ages.

    `unseen_s` is for how long the market has said that there is no such box, None while it does not say so.
    `problem` is what the market said of a box that will never come up, `box_problem` what the box itself did.
    """

    lease_id: str
    state: LeaseState
    attempt: int = 0
    boxes: int = 0
    quotes: int = 0
    choices: int = 0
    creation: Creation = Creation.NONE
    presence: Presence = Presence.UNKNOWN
    box_state: InstanceState | None = None
    failed_boot: bool = False
    problem: str = ""
    box_problem: str = ""
    joined: bool = False
    ready: bool = False
    ending: EndCode | None = None
    agreed: bool = False
    calls: int = 0
    in_state_s: float = 0.0
    since_order_s: float = 0.0
    unseen_s: float | None = None
    joined_s: float = 0.0
    silent_s: float = 0.0
    idle_s: float = 0.0
    usd_per_hour: float = 0.0
    spent_usd: float = 0.0
    quote_usd_per_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """A lease as it is stored. Its money is in US dollars; `billed_to` is up to when `spent_usd` counts.

    `now` is when it was read, by the clock that all its times are of.
    """

    id: str
    purpose: Purpose
    pool: str
    state: LeaseState
    why: str
    asked_by: str
    plan: LeasePlan
    asked_at: datetime
    state_at: datetime
    attempt: int = 0
    boxes: int = 0
    quotes: int = 0
    choices: tuple[RankedOffer, ...] = ()
    creation: Creation = Creation.NONE
    label: str | None = None
    offer: RankedOffer | None = None
    machine: str | None = None
    machines_out: tuple[str, ...] = ()
    instance: str | None = None
    box_state: str = ""
    address: str | None = None
    approval_id: str | None = None
    approved_by: str | None = None
    ending: str | None = None
    ending_code: EndCode | None = None
    intended_at: datetime | None = None
    joined_at: datetime | None = None
    served_at: datetime | None = None
    heard_at: datetime | None = None
    watched_since: datetime | None = None
    busy_at: datetime | None = None
    unseen_since: datetime | None = None
    ended_at: datetime | None = None
    calls: int = 0
    tokens: int = 0
    usd_per_hour: float = 0.0
    spent_usd: float = 0.0
    billed_to: datetime | None = None
    now: datetime

    def age_s(self, at: datetime | None) -> float:
        """Seconds since then; 0 where it has not been."""
        return 0.0 if at is None else max(0.0, (self.now - at).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAsk:
    """A lease that is wanted. `id` makes asking twice asking once."""

    id: str
    plan: LeasePlan
    asked_by: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEvent:
    """One line of the audit."""

    at: datetime
    lease_id: str
    actor: str
    event: str
    state: str | None = None
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseNote:
    """A change of a lease's state that a workflow decided on: from where, to where, and why."""

    lease_id: str
    to: LeaseState
    why: str = ""
    ending: EndCode | None = None
    exclude_machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOpened:
    """What a lease's workflow begins with."""

    lease_id: str
    plan: LeasePlan
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNote:
    """What an order came to."""

    lease_id: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What boxes have cost in the day and the month of now (UTC), in US dollars, as far as it is booked."""

    day_usd: float
    month_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no box may be rented now."""

    code: EndCode
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A wish to end a lease."""

    lease_id: str
    code: EndCode
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Somebody agreed that a box is rented."""

    lease_id: str
    approval_id: str
    by: str


def lease_label(installation: str, lease_id: str, attempt: int) -> str:
    """The label of an attempt's instance at the market."""
    return f"aither-{installation}-{lease_id}-{attempt}"


def label_prefix(installation: str) -> str:
    """What all labels of an installation begin with."""
    return f"aither-{installation}-"
