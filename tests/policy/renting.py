"""Offers, needs and leases for the tests of what is rented and what it may cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.contracts.backends import Backend, Dialect, Locality
from activities.contracts.boxes import BoxPlan
from activities.contracts.lease_views import Creation, LeasePlan, LeaseView
from activities.contracts.leases import LeaseState, Need, Offer, Purpose
from workflows.policy.offers import appraise

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
MAY_HAVE_A_BOX = {
    LeaseState.RENTING,
    LeaseState.BOOTING,
    LeaseState.JOINING,
    LeaseState.SERVING,
    LeaseState.DRAINING,
    LeaseState.DESTROYING,
}


def offer(identifier: str = "1", **fields: Any) -> Offer:
    good = Offer(
        id=identifier,
        machine=f"m{identifier}",
        gpu="RTX 4090",
        gpus=1,
        vram_mib=24_564,
        usd_per_hour=0.4,
        storage_usd_per_gb_month=0.15,
        inet_down_mbps=2000,
        inet_down_usd_per_gb=0.002,
        disk_gb=400,
        cuda=12.8,
        reliability=0.995,
        region="Sweden, SE",
        direct_ports=8,
        lasts=timedelta(days=30),
    )
    return replace(good, **fields)


def need(purpose: Purpose = Purpose.REASONING, **fields: Any) -> Need:
    usual = Need(purpose=purpose, vram_mib=24_000, usd_per_hour=1.0, image_gb=8, model_gb=17, disk_gb=80)
    return replace(usual, **fields)


def lease(identifier: str = "lease_1", state: LeaseState = LeaseState.SERVING, **fields: Any) -> LeaseView:
    """One that has a box where its state allows it; times are `NOON` less what is asked for."""
    there = state in MAY_HAVE_A_BOX
    backend = Backend(
        name="box", base_url="http://b", model="m", dialect=Dialect.VLLM, locality=Locality.LOCAL
    )
    plan = LeasePlan(
        purpose=Purpose.REASONING,
        pool="llm-reasoner",
        installation="t",
        need=need(),
        image="box:1",
        box=BoxPlan(command=("serve",), backend=backend, port=8000),
        lease_usd=fields.pop("lease_usd", 10.0),
    )
    view = LeaseView(
        id=identifier,
        purpose=plan.purpose,
        pool=plan.pool,
        state=state,
        why="",
        asked_by="test",
        plan=plan,
        asked_at=NOON - timedelta(hours=1),
        state_at=NOON - timedelta(hours=1),
        creation=Creation.MADE if there else Creation.NONE,
        offer=appraise(offer(), plan.need) if there else None,
        intended_at=NOON - timedelta(hours=1) if there else None,
        billed_to=NOON if there else None,
        served_at=NOON - timedelta(hours=1) if state is LeaseState.SERVING else None,
        ended_at=NOON if state.ended else None,
        usd_per_hour=0.5 if there else 0.0,
        now=NOON,
    )
    return replace(view, **fields)
