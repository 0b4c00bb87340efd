"""The installation as a whole, for Prometheus: what PostgreSQL and Temporal know of it, looked at now and then."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from temporalio.client import Client

from activities.contracts.leases import LeaseState
from activities.contracts.topology import Topology
from activities.errors import StoreUnavailable
from api.saturation import AWAY
from infra.postgres.database import Database
from infra.telemetry.house import NANO, HouseFigures, house_figures
from workflows.names import APPROVAL, BURST_LEASE, SWARM, USER_TURN

log = logging.getLogger(__name__)

FRESH_S = 5.0
"""How long one look serves every scrape."""
COUNTS_FRESH_S = 15.0
"""The same for what Temporal counts: its visibility store is asked, which is not made for being asked often."""
PATIENCE_S = 1.5
COUNTED: tuple[str, ...] = (USER_TURN, SWARM, APPROVAL, BURST_LEASE)
FLEETS = ("turns", "pools", "memory", "telegram", "burst", "cards")
MOST_APPROVALS = 1000
"""Open approvals among which the oldest is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What runs in Temporal, by type of workflow; and since when the oldest open approval has been."""

    running: Mapping[str, int] = field(default_factory=dict[str, int])
    oldest_approval_s: float | None = None


class House:
    """Looks at most once in `FRESH_S`. What does not answer is left out."""

    def __init__(self, topology: Topology, database: Database, client: Client) -> None:
        self._topology = topology
        self._database = database
        self._client = client
        self._figures: HouseFigures | None = None
        self._counts = Counts()
        self._looked_at = self._counted_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> list[Metric]:
        """The figures, as Prometheus takes them. Never raises for what is away."""
        async with self._one_at_a_time:
            now = time.monotonic()
            if now - self._looked_at >= FRESH_S:
                self._figures = await self._read()
                self._looked_at = now
            if now - self._counted_at >= COUNTS_FRESH_S:
                self._counts = await self._count()
                self._counted_at = now
        return [*_of_house(self._figures), *_of_temporal(self._counts), *self._of_this_process()]

    async def _read(self) -> HouseFigures | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await house_figures(self._database)
        except (StoreUnavailable, TimeoutError):
            return None

    async def _count(self) -> Counts:
        try:
            async with asyncio.timeout(PATIENCE_S):
                numbers = await asyncio.gather(*map(self._running, COUNTED))
                running = dict(zip(COUNTED, numbers, strict=True))
                oldest = await self._oldest_approval() if running[APPROVAL] else None
                return Counts(running=running, oldest_approval_s=oldest)
        except AWAY as error:
            log.info("Temporal does not count for a moment: %s", type(error).__name__)
            return Counts()

    async def _running(self, workflow: str) -> int:
        return (await self._client.count_workflows(_open(workflow))).count

    async def _oldest_approval(self) -> float | None:
        """In seconds. Temporal lists the newest first."""
        began: datetime | None = None
        async for each in self._client.list_workflows(_open(APPROVAL), limit=MOST_APPROVALS):
            began = each.start_time
        return None if began is None else max(0.0, (datetime.now(UTC) - began).total_seconds())

    def _of_this_process(self) -> Iterator[Metric]:
        yield _gauge(
            "aither_build_info", "Always 1; the release that runs.", {"version": version("aither")}, 1
        )
        caps = GaugeMetricFamily(
            "aither_burst_cap_usd", "What rented boxes may cost, in US dollars.", labels=["window"]
        )
        for window, cap in (
            ("day", self._topology.burst.day_usd),
            ("month", self._topology.burst.month_usd),
        ):
            if cap is not None and self._topology.burst.installation:
                caps.add_metric([window], cap)
        yield caps
        connections = GaugeMetricFamily(
            "aither_database_connections",
            "Connections of this process to PostgreSQL: at most, open, and of those idle.",
            labels=["state"],
        )
        for state, number in self._database.connections.items():
            connections.add_metric([state], number)
        yield connections


def _of_house(seen: HouseFigures | None) -> Iterator[Metric]:
    services = GaugeMetricFamily(
        "aither_services", "Services of the registry, by kind and status.", labels=["kind", "status"]
    )
    fleets = GaugeMetricFamily(
        "aither_fleet_workers", "Worker processes that are online, by fleet.", labels=["fleet"]
    )
    leases = GaugeMetricFamily(
        "aither_leases", "Leases of rented boxes that have not ended.", labels=["state"]
    )
    spend = GaugeMetricFamily(
        "aither_burst_spend_usd",
        "What rented boxes have cost in this day and month (UTC), as far as it is booked.",
        labels=["window"],
    )
    hourly = GaugeMetricFamily("aither_leases_usd_per_hour", "What rented boxes cost an hour now, together.")
    heard = GaugeMetricFamily(
        "aither_lease_box_silence_seconds",
        "Of the boxes that serve, how long the most silent has said nothing.",
    )
    told = GaugeMetricFamily(
        "aither_lease_market_silence_seconds",
        "Of the boxes that may bill, for how long the market has not told of one.",
    )
    if seen is not None:
        for each in seen.services:
            services.add_metric([each["kind"], each["status"]], each["number"])
        for fleet in {*FLEETS, *seen.fleets}:
            fleets.add_metric([fleet], seen.fleets.get(fleet, 0))
        for state in LeaseState:
            if not state.ended:
                leases.add_metric([state.value], seen.leases.get(state.value, 0))
        spend.add_metric(["day"], seen.day_nano / NANO)
        spend.add_metric(["month"], seen.month_nano / NANO)
        hourly.add_metric([], seen.nano_hour / NANO)
        heard.add_metric([], seen.box_silence_s or 0.0)
        told.add_metric([], seen.market_silence_s or 0.0)
    yield from (services, fleets, leases, spend, hourly, heard, told)


def _of_temporal(counts: Counts) -> Iterator[Metric]:
    running = GaugeMetricFamily(
        "aither_workflows_running",
        "Workflows that run, by type, as Temporal counts them.",
        labels=["workflow"],
    )
    for workflow, number in counts.running.items():
        running.add_metric([workflow], number)
    yield running
    oldest = GaugeMetricFamily(
        "aither_approval_oldest_seconds", "How long the oldest open approval has been open."
    )
    if counts.running:
        oldest.add_metric([], counts.oldest_approval_s or 0.0)
    yield oldest


def _gauge(name: str, says: str, labels: Mapping[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, says, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _open(workflow: str) -> str:
    return f"WorkflowType = '{workflow}' AND ExecutionStatus = 'Running'"
