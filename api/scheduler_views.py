"""The scheduler in types, as REST gives it: pools, what waits, and GPU cards."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from activities.contracts.cards import Posture, Residency
from activities.contracts.pools import MemberSource
from api.shapes import Given

EXAMPLE_WAITING = "turn_01k5h6v9c2m8r4t0x3z7q5w1ne"


class MissingPart(Given):
    """A part that did not answer, and what this reply lacks for it."""

    part: Literal["redis", "temporal", "postgres"]
    missing: str


class EngineState(Given):
    """What a member's own metrics say; null where its engine does not tell. Shares are 0 to 1."""

    running: int | None
    waiting: int | None
    kv_used: float | None
    asleep: bool | None
    prefix_hits: float | None
    draft_acceptance: float | None


class MemberState(Given):
    """A backend that serves a pool, put together from all worker processes that see it."""

    backend: str
    model: str
    locality: Literal["local", "cloud"]
    source: MemberSource
    health: Literal["up", "down", "barred", "parked", "draining", "offline", "unknown"] = Field(
        description="`up` if any process sees it so; `unknown` where no worker serves its pool."
    )
    why: str
    slots: int = Field(description="Calls at once that it is configured with.")
    share: int | None = Field(description="How many of them our processes may use now, together.")
    used: int | None = Field(description="How many they do.")
    foreign: int | None = Field(description="How many others than us take.")
    breaker: Literal["closed", "half_open", "open"] | None = Field(
        description="The worst of the processes' breakers for it."
    )
    card: str | None = Field(description="The GPU card that it lives on.")
    base_url: str | None = Field(description="For operators only.")
    engine: EngineState


class PoolState(Given):
    """A pool. `slots` are those of the members that are up; a figure that is not known is null."""

    name: str = Field(examples=["llm-orchestrator"])
    slots: int | None
    used: int | None
    free: int | None
    served_by: int | None = Field(description="Worker processes that serve it.")
    backlog: int | None = Field(
        description="Calls in its queue by Temporal's count, with those cancelled that no worker has come to yet."
    )
    backlog_age_s: float | None = Field(description="For how long the oldest has; 0 where none waits.")
    backlog_by_priority: dict[int, int] | None
    add_rate: float | None = Field(description="Calls a second that came into its queue, lately.")
    dispatch_rate: float | None = Field(description="Calls a second that left it for a worker, lately.")
    wait_p50_ms: float | None = Field(description="Of the last minutes; null where nothing was called.")
    wait_p95_ms: float | None
    members: list[MemberState]


class SchedulerView(Given):
    """All pools. `degraded` is empty where every part answered."""

    pools: list[PoolState]
    degraded: list[MissingPart]
    at: datetime


class PoolView(PoolState):
    """One pool."""

    degraded: list[MissingPart]
    at: datetime


class WaitingCall(Given):
    """Something that waits: for a slot of `pool`, or for room on `card`."""

    id: str = Field(examples=[EXAMPLE_WAITING], description="The turn's id; of others, the workflow's.")
    kind: str = Field(
        description="`turn`; `card` for what waits for a card; of other workflows, their type.",
        examples=["turn"],
    )
    pool: str | None
    card: str | None
    priority: int = Field(description="1 is the most urgent.")
    tenant: str | None
    since: datetime
    waiting_s: float
    more_urgent: int | None = Field(
        description="Calls of a more urgent priority in the same queue, as counted there."
    )


class QueueView(Given):
    """What waits, the most urgent first, then the longest. `more` where this is not all of it."""

    data: list[WaitingCall]
    more: bool
    degraded: list[MissingPart]


class CancelledCall(Given):
    """A waiting call that was cancelled, or is being stopped."""

    id: str = Field(examples=[EXAMPLE_WAITING])
    kind: str
    status: Literal["cancelled", "stopping"]


class ResidentState(Given):
    """A model, or another tenant of VRAM, that may live on a card."""

    name: str
    residency: Residency
    moving_to: Residency | None
    mib: int
    asleep_mib: int
    on_demand: bool
    holders: int
    why: str


class HoldState(Given):
    """A hold of a card, or one that waits. Whose it is is null where it is another tenant's."""

    lease: str | None
    holder: str | None
    tenant: str | None
    what: str | None
    priority: int
    resident: str | None
    mib: int
    since: datetime
    token: int | None
    expires_at: datetime | None


class CardState(Given):
    """A GPU card. Where `stale`, its workflow did not answer: this is what it last said, `age_s` ago."""

    card: str = Field(examples=["gpu-box/0"])
    host: str
    index: int
    posture: Posture | None = Field(description="Null where the card has never told of itself.")
    vram_mib: int
    reserve_mib: int
    free_mib: int | None
    measured_free_mib: int | None
    residents: list[ResidentState]
    leases: list[HoldState]
    waiters: list[HoldState]
    more: int = Field(description="Holds and waiters that were left out.")
    granted: int
    looking: bool = Field(description="Its host is being asked what is true.")
    problem: str = Field(description="What does not fit together, until it is repaired; else empty.")
    revision: int
    at: datetime | None
    stale: bool
    age_s: float | None
    why_stale: str


class CardList(Given):
    """All cards, by name."""

    data: list[CardState]
    degraded: list[MissingPart]
