"""Rows of leases as the contracts have them."""

from datetime import datetime

import asyncpg
import msgspec

from activities.contracts.lease_views import Creation, EndCode, LeaseEvent, LeasePlan, LeaseView
from activities.contracts.leases import LeaseState, Purpose, RankedOffer

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""

LEASES = (
    "select l.*, clock_timestamp() as now, coalesce(s.nano, 0)::bigint as spent_nano, s.billed_to"
    " from aither.leases l left join lateral (select sum(nano_usd) as nano, max(to_at) as billed_to"
    " from aither.lease_spend where lease_id = l.id) s on true"
)

_plan = msgspec.json.Decoder(LeasePlan)
_choices = msgspec.json.Decoder(tuple[RankedOffer, ...])
_offer = msgspec.json.Decoder(RankedOffer)


def choices_of(row: asyncpg.Record) -> tuple[RankedOffer, ...]:
    """The offers that are still to be tried."""
    return _choices.decode(row["choices"])


def plan_of(row: asyncpg.Record) -> LeasePlan:
    """What the lease goes by."""
    return _plan.decode(row["plan"])


def lease_of(row: asyncpg.Record) -> LeaseView:
    """The lease of a row that `LEASES` found."""
    return LeaseView(
        id=row["id"],
        purpose=Purpose(row["purpose"]),
        pool=row["pool"],
        state=LeaseState(row["state"]),
        why=row["why"],
        asked_by=row["asked_by"],
        plan=plan_of(row),
        asked_at=row["asked_at"],
        state_at=row["state_at"],
        attempt=row["attempt"],
        boxes=row["boxes"],
        quotes=row["quotes"],
        choices=choices_of(row),
        creation=Creation(row["creation"]),
        label=row["label"],
        offer=None if row["offer"] is None else _offer.decode(row["offer"]),
        machine=row["machine_id"],
        machines_out=tuple(row["machines_out"]),
        instance=row["instance_id"],
        box_state=row["box_state"],
        address=row["address"],
        approval_id=row["approval_id"],
        approved_by=row["approved_by"],
        ending=row["ending"],
        ending_code=None if row["ending_code"] is None else EndCode(row["ending_code"]),
        intended_at=row["intended_at"],
        joined_at=row["joined_at"],
        served_at=row["served_at"],
        heard_at=row["heard_at"],
        watched_since=row["watched_since"],
        busy_at=row["busy_at"],
        unseen_since=row["unseen_since"],
        ended_at=row["ended_at"],
        calls=row["calls"],
        tokens=row["tokens"],
        usd_per_hour=row["nano_hour"] / NANO,
        spent_usd=row["spent_nano"] / NANO,
        billed_to=row["billed_to"],
        now=row["now"],
    )


def event_of(row: asyncpg.Record) -> LeaseEvent:
    """A line of the audit."""
    at: datetime = row["at"]
    return LeaseEvent(
        at=at,
        lease_id=row["lease_id"],
        actor=row["actor"],
        event=row["event"],
        state=row["state"],
        told=row["told"],
    )
