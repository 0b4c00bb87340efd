"""Leases for real: Temporal, PostgreSQL and Redis, the product's worker, a market over HTTP, boxes as processes."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowExecutionStatus

from activities.contracts.approvals import ApprovalRef, Choice, Surface, Verdict
from activities.contracts.backends import Backend
from activities.contracts.boxes import BoxPlan, Pace
from activities.contracts.burst import BurstRules
from activities.contracts.bursting import Burst
from activities.contracts.lease_views import EndCode, LeaseAsk, LeasePlan, LeaseTiming, LeaseView
from activities.contracts.leases import LeaseState, Need, Purpose
from activities.contracts.topology import Topology
from infra.ids import new_id
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.keys import PostgresKeys
from infra.postgres.leases import PostgresLeases
from infra.settings import Settings
from tests.support.house import Ground
from tests.support.standin_vast import StandInVast
from tests.support.standin_vast_boxes import Box, as_a_box
from tests.support.vast_book import offer
from workers.burst import leasing
from workflows.approval_starts import wake_approval
from workflows.burst_starts import TemporalLeaseRuns, ensure_lease
from workflows.names import burst_workflow_id

PATIENCE_S = 45.0
POLL_S = 0.05
MASTER = "a master key of thirty-two letters"
KEY = "vast-key"
BOX_SERVER = Path(__file__).parents[1] / "support/box_server.py"
POOL = "llm-reasoner"
QUICK = LeaseTiming(
    poll=timedelta(seconds=0.2),
    check=timedelta(seconds=0.4),
    settle=timedelta(seconds=0.4),
    boot=timedelta(seconds=20),
    join=timedelta(seconds=30),
    load=timedelta(seconds=30),
    silence=timedelta(seconds=12),
    idle=timedelta(seconds=1.5),
    drain=timedelta(seconds=5),
)


def plan_of(**fields: Any) -> LeasePlan:
    """A lease of everyday hurry, whose boxes serve nothing with nothing in it."""
    usual = LeasePlan(
        purpose=Purpose.REASONING,
        pool=POOL,
        installation="test",
        need=Need(
            purpose=Purpose.REASONING, vram_mib=20_000, usd_per_hour=2.0, image_gb=1, model_gb=1, disk_gb=20
        ),
        image="box:1",
        box=BoxPlan(
            command=(sys.executable, str(BOX_SERVER), "{port}", str(BOX_SERVER)),
            backend=Backend(
                name="burst", pool=POOL, base_url="http://box.invalid/v1", model="qwen", window_tokens=4096
            ),
            port=8000,
            pace=Pace(
                heartbeat=timedelta(seconds=0.3), silence=timedelta(seconds=60), start=timedelta(seconds=30)
            ),
        ),
        lease_usd=5.0,
        timing=QUICK,
    )
    return replace(usual, **fields)


def _said(box: Box) -> str:
    """What its agent said last."""
    path = box.folder / "aither/agent.log"
    return box.log[-500:] + (path.read_text()[-1500:] if path.exists() else "no agent")


@dataclass
class Estate:
    """A market, and a worker that rents there."""

    ground: Ground
    market: StandInVast
    burst: Burst

    @property
    def rows(self) -> PostgresLeases:
        return PostgresLeases(self.ground.database)

    async def ask(self, **fields: Any) -> str:
        lease_id = new_id("lease")
        await self.rows.ask(LeaseAsk(id=lease_id, plan=plan_of(**fields), asked_by="test"))
        await ensure_lease(self.ground.client, lease_id)
        return lease_id

    async def cancel(self, lease_id: str) -> None:
        await self.rows.want_end(lease_id, EndCode.CANCELLED, "asked to", "test")
        await TemporalLeaseRuns(self.ground.client).nudge(lease_id)

    async def decide(self, lease_id: str, option: str) -> None:
        """Says this as an operator, once people are asked whether it may be rented."""
        approvals = PostgresApprovals(self.ground.database)
        ref = ApprovalRef(tenant_id="default", approval_id=lease_id.replace("lease_", "apr_", 1))
        choice = Choice(by="key:test", option=option, surface=Surface.REST, roles=("operator",))
        async with asyncio.timeout(PATIENCE_S):
            while await approvals.view(ref) is None:
                await asyncio.sleep(POLL_S)
        answer = await approvals.decide(ref, choice)
        assert answer.verdict is Verdict.DECIDED, answer
        await wake_approval(self.ground.client, ref)

    async def until(self, lease_id: str, *states: LeaseState) -> LeaseView:
        """Waits until the lease is in one of these states, or has ended in another."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            lease = await self.rows.lease(lease_id)
            if lease.state in states:
                return lease
            late = asyncio.get_running_loop().time() > deadline
            assert not lease.state.ended and not late, await self.story(lease_id)
            await asyncio.sleep(POLL_S)

    async def ended(self, lease_id: str) -> LeaseView:
        return await self.until(lease_id, LeaseState.GONE, LeaseState.FAILED, LeaseState.DENIED)

    async def until_running(self, lease_id: str) -> None:
        """Waits until the reaper has the lease's workflow again."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.handle(lease_id).describe()).status is not WorkflowExecutionStatus.RUNNING:
                await asyncio.sleep(POLL_S)

    async def events(self, lease_id: str) -> list[str]:
        return [each.event for each in await self.rows.events(lease_id)]

    async def story(self, lease_id: str) -> str:
        lines = [f"{e.event} {e.told}" for e in await self.rows.events(lease_id)]
        seen = await self.handle(lease_id).describe()
        lines.append(f"workflow {seen.status}, {seen.raw_description.pending_activities}")
        return "\n".join([*lines, *map(_said, self.market.boxes.there.values())])

    def box(self) -> Box:
        (found,) = self.market.boxes.there.values()
        return found

    def unowned_s(self, lives: dict[str, list[tuple[float, float | None]]]) -> float:
        return max(self.market.ledger.unowned(lives).values(), default=0.0)

    async def lives(self, *ids: str) -> dict[str, list[tuple[float, float | None]]]:
        """From when to when each label had a live lease that knew it, by the audit."""
        found: dict[str, list[tuple[float, float | None]]] = {}
        for lease_id in ids:
            label = ""
            for event in await self.rows.events(lease_id):
                at = event.at.timestamp()
                if event.event == "ordered":
                    label = event.told.partition(":")[0]
                    found[label] = [(at, None)]
                elif label and event.event in {"order_void", "approved", "gone", "failed", "denied"}:
                    found[label] = [(found[label][0][0], at)]
                    label = ""
        return found

    def handle(self, lease_id: str) -> Any:
        return self.ground.client.get_workflow_handle(burst_workflow_id(lease_id))


@asynccontextmanager
async def estate(
    ground: Ground,
    folder: Path,
    *,
    offers: Iterable[dict[str, Any]] | None = None,
    reap: timedelta = timedelta(seconds=1),
    **fields: Any,
) -> AsyncGenerator[Estate]:
    """Opens a market and a worker for the block."""
    chosen = [offer(number) for number in range(1, 9)] if offers is None else list(offers)
    market = StandInVast(folder, chosen, key=KEY, launch=as_a_box)
    async with market:
        # People are asked as of the house's first tenant.
        await PostgresKeys(ground.database).create("default", "test")
        burst = Burst(
            enabled=True,
            installation="test",
            base_url=market.url,
            check=QUICK.check,
            reap=reap,
            most=5,
            plans=(plan_of(),),
            rules=(BurstRules(pool=POOL, purpose=Purpose.REASONING),),
        )
        burst = replace(burst, **fields)
        topology = Topology(backends=(), ladders=(), burst=burst)
        parts = ground.composed(topology, _nobody)
        settings = Settings.model_validate(
            {
                "config_file": None,
                "vast_api_key": KEY,
                "burst_master_key": MASTER,
                "redis_url": ground.stores.redis.url,
                "data_dir": folder,
            }
        )
        async with leasing(parts, settings):
            yield Estate(ground, market, burst)


def _nobody(backend: Backend) -> Any:
    raise AssertionError(f"{backend.name} is not of this estate")
