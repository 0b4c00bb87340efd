"""Serves leases of rented boxes: their workflows, the reaper, the check of all of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

from temporalio.worker import Worker

from activities.bursting import BurstActivities
from activities.contracts.bursting import Burst
from activities.contracts.leases import BoxOrder, BoxSpec, Instance, Offer
from activities.errors import MarketRefused
from activities.leasing import LeaseActivities
from activities.market_ports import Marketplace
from activities.offers import OfferActivities
from activities.reaping import ReapingActivities
from infra.box.opening import opening
from infra.postgres.leases import PostgresLeases
from infra.redis_pools import RedisPools
from infra.settings import Settings
from infra.temporal.schedules import apply_loops
from infra.vast.market import open_market
from workers.burst_pressure import TemporalPressures
from workers.burst_rules import RankedQuotes, guard_of
from workers.composition import Composition
from workflows.autoscale import CheckBurstWorkflow
from workflows.burst import BurstLeaseWorkflow
from workflows.burst_starts import TemporalLeaseRuns
from workflows.names import Queue
from workflows.policy import model_sources, offers
from workflows.policy.reaping import lease_of_label, strays
from workflows.reap_leases import ReapLeasesWorkflow
from workflows.schedules import burst_loops

AT_ONCE = 20


class NoMarket:
    """Stands for the market where there is no key to it: whatever is there is not known, and nothing is rented."""

    async def search(self, spec: BoxSpec) -> Sequence[Offer]:
        """Refuses."""
        _refuse()

    async def create(self, offer: str, order: BoxOrder) -> str:
        """Refuses."""
        _refuse()

    async def list(self, label_prefix: str) -> tuple[Instance, ...]:
        """Refuses."""
        _refuse()

    async def get(self, instance: str) -> Instance | None:
        """Refuses."""
        _refuse()

    async def destroy(self, instance: str) -> None:
        """Refuses."""
        _refuse()

    async def credit(self) -> float:
        """Refuses."""
        _refuse()


def _refuse() -> NoReturn:
    raise MarketRefused("there is no key to the market; set VAST_API_KEY")


@asynccontextmanager
async def market_of(settings: Settings, burst: Burst) -> AsyncGenerator[Marketplace]:
    """The market that is configured, for the block."""
    if settings.vast_api_key is None:
        yield NoMarket()
        return
    async with open_market(settings.vast_api_key, burst.base_url) as market:
        yield market


@asynccontextmanager
async def leasing(parts: Composition, settings: Settings) -> AsyncGenerator[None]:
    """Serves leases within the block, where burst is configured: also where it is off, to give back what there is."""
    burst = parts.topology.burst
    if not burst.installation:
        yield
        return
    async with AsyncExitStack() as stack:
        market = await stack.enter_async_context(market_of(settings, burst))
        boxes = await stack.enter_async_context(opening(settings, parts.database, model_sources))
        pools = await stack.enter_async_context(RedisPools.connect(settings.redis_dsn))
        store, runs = PostgresLeases(parts.database), TemporalLeaseRuns(parts.client)
        leases = LeaseActivities(
            store, market, boxes.desk(halt=_halt(burst)), RankedQuotes(market), guard_of(burst)
        )
        reaper = ReapingActivities(
            store, market, runs, installation=burst.installation, strays=strays, lease_of=lease_of_label
        )
        checks = BurstActivities(store, runs, TemporalPressures(parts.client, pools.heard), burst)
        await stack.enter_async_context(
            Worker(
                parts.client,
                task_queue=Queue.BURST,
                **parts.versioning.options,
                workflows=[BurstLeaseWorkflow, ReapLeasesWorkflow, CheckBurstWorkflow],
                activities=[
                    *leases.all,
                    *checks.all,
                    reaper.reap_leases,
                    OfferActivities(market, offers).list_offers,
                ],
                workflow_runner=parts.versioning.runner(),
                max_concurrent_activities=AT_ONCE,
                graceful_shutdown_timeout=parts.drain,
            )
        )
        await apply_loops(parts.client, burst_loops(burst))
        yield


def _halt(burst: Burst) -> dict[str, Any]:
    """How a box ends itself: with the key that the market gives it, which is good for that box alone."""
    return {
        "url": f"{burst.base_url}/api/v0/instances/{{CONTAINER_ID}}/",
        "method": "DELETE",
        "bearer_env": "CONTAINER_API_KEY",
    }
