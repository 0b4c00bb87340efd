"""Leases as REST gives them."""

from datetime import datetime

from pydantic import Field

from activities.contracts.lease_views import LeaseEvent, LeaseView
from activities.contracts.leases import LeaseState, Purpose
from api.shapes import Given, Taken

EXAMPLE_LEASE = "lease_01k5h6v9c2m8r4t0x3z7q5w1ne"


class LeaseBody(Taken):
    """A lease that is wanted now, whatever the pools' load."""

    purpose: Purpose = Field(
        strict=False, description="What the box is for: a table of `[burst]`.", examples=["reasoning"]
    )
    why: str = Field(default="", max_length=500, description="Kept with the lease, for whoever asks later.")


class SweepBody(Taken):
    """A look of the reaper, now."""

    dry_run: bool = Field(default=False, description="Tell of strays, and touch none.")


class OfferShown(Given):
    """The offer that the lease's box was rented by."""

    id: str
    machine: str
    gpu: str
    gpus: int
    region: str
    usd_per_hour: float = Field(description="GPU, storage and the download's share of an hour.")


class LeaseShown(Given):
    """A lease. Money in US dollars, by our own books: they count from the order to the verified end."""

    id: str
    purpose: Purpose
    pool: str
    state: LeaseState
    why: str
    asked_by: str
    asked_at: datetime
    since: datetime = Field(description="Since when it is in this state.")
    ended_at: datetime | None
    ending: str | None = Field(description="Why it ends or ended; null while it is wanted.")
    ending_code: str | None
    attempt: int = Field(description="The order of now: each has a label of its own.")
    label: str | None
    instance: str | None = Field(description="The box's id at the market.")
    box: str = Field(description="What the market says of the box.")
    offer: OfferShown | None
    machines_out: list[str] = Field(description="Machines that failed it.")
    approved_by: str | None
    hours_up: float = Field(description="From the order of its newest box until now, or its end.")
    usd: float = Field(description="What it has cost so far.")
    usd_per_hour: float = Field(description="What it costs an hour now.")
    usd_cap: float = Field(description="At which it drains and ends.")
    calls: int = Field(description="Calls that its box has in hand.")
    tokens: int = Field(description="Tokens that its box has served.")
    heard_at: datetime | None = Field(description="When its box was last heard of.")


class LeaseEventShown(Given):
    """One line of a lease's audit."""

    at: datetime
    actor: str
    event: str
    state: str | None
    told: str


class LeaseWhole(LeaseShown):
    """A lease with what happened to it, the oldest first."""

    events: list[LeaseEventShown]


class BurstShown(Given):
    """Burst as a whole."""

    enabled: bool
    day_usd: float
    month_usd: float
    day_cap_usd: float | None
    month_cap_usd: float | None
    usd_per_hour: float = Field(description="What all boxes together cost an hour now.")


class LeaseList(Given):
    """Leases, the newest first."""

    burst: BurstShown
    data: list[LeaseShown]


class StrayShown(Given):
    """An instance of ours that no lease knows."""

    instance: str
    label: str
    lease: str
    why: str


class SweepShown(Given):
    """What the reaper found."""

    seen: int
    destroyed: list[StrayShown]
    left: list[StrayShown]
    unknown: str = Field(
        description="Why the market's list could not be relied on: then nothing was touched."
    )


def lease_shown(lease: LeaseView) -> LeaseShown:
    """The lease as it is shown."""
    return LeaseShown.model_validate(_fields(lease))


def lease_whole(lease: LeaseView, events: tuple[LeaseEvent, ...]) -> LeaseWhole:
    """The lease with its audit."""
    lines = [
        LeaseEventShown(at=e.at, actor=e.actor, event=e.event, state=e.state, told=e.told) for e in events
    ]
    return LeaseWhole.model_validate({**_fields(lease), "events": lines})


def _fields(lease: LeaseView) -> dict[str, object]:
    ended = lease.ended_at
    until = ended or lease.now
    up = (until - lease.intended_at).total_seconds() / 3600 if lease.intended_at else 0.0
    unbooked = 0.0
    if lease.state.may_have_a_box and lease.instance is not None:
        unbooked = lease.usd_per_hour * lease.age_s(lease.billed_to or lease.intended_at) / 3600
    return {
        "id": lease.id,
        "purpose": lease.purpose,
        "pool": lease.pool,
        "state": lease.state,
        "why": lease.why,
        "asked_by": lease.asked_by,
        "asked_at": lease.asked_at,
        "since": lease.state_at,
        "ended_at": ended,
        "ending": lease.ending,
        "ending_code": lease.ending_code,
        "attempt": lease.attempt,
        "label": lease.label,
        "instance": lease.instance,
        "box": lease.box_state,
        "offer": _offer(lease),
        "machines_out": list(lease.machines_out),
        "approved_by": lease.approved_by,
        "hours_up": round(max(0.0, up), 4),
        "usd": round(lease.spent_usd + unbooked, 6),
        "usd_per_hour": round(lease.usd_per_hour if lease.state.may_have_a_box else 0.0, 6),
        "usd_cap": lease.plan.lease_usd,
        "calls": lease.calls,
        "tokens": lease.tokens,
        "heard_at": lease.heard_at,
    }


def _offer(lease: LeaseView) -> OfferShown | None:
    if lease.offer is None:
        return None
    offer = lease.offer.offer
    return OfferShown(
        id=offer.id,
        machine=offer.machine,
        gpu=offer.gpu,
        gpus=offer.gpus,
        region=offer.region,
        usd_per_hour=round(lease.offer.real_usd_per_hour, 6),
    )
