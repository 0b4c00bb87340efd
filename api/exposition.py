"""Figures in Prometheus's text format. Labels name what is configured, and processes: never a turn or a tenant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from activities.contracts.cards import Residency
from activities.contracts.pools import WAIT_BOUNDS_MS, MemberHealth, Waits
from api.cards import CardSeen, Deck, age_s
from api.scheduler_views import MemberState, PoolState
from api.scheduling import Snapshot

BREAKERS = ("closed", "half_open", "open")
PARTS = ("redis", "temporal", "postgres")

POOL_GAUGES: dict[str, tuple[str, Callable[[PoolState], float | None]]] = {
    "aither_pool_slots": ("Calls that the pool may have in hand.", lambda pool: pool.slots),
    "aither_pool_slots_used": ("Calls that it has in hand.", lambda pool: pool.used),
    "aither_pool_workers": ("Worker processes that serve the pool.", lambda pool: pool.served_by),
    "aither_pool_backlog": ("Calls that wait in its queue.", lambda pool: pool.backlog),
    "aither_pool_backlog_age_seconds": ("How long the oldest has.", lambda pool: pool.backlog_age_s),
    "aither_pool_add_rate": ("Calls a second into its queue.", lambda pool: pool.add_rate),
    "aither_pool_dispatch_rate": ("Calls a second out of it.", lambda pool: pool.dispatch_rate),
}
MEMBER_GAUGES: dict[str, tuple[str, Callable[[MemberState], float | None]]] = {
    "aither_member_up": (
        "Whether calls go to the member.",
        lambda member: None if member.health == "unknown" else float(member.health == MemberHealth.UP),
    ),
    "aither_member_slots": ("Calls at once that it is configured with.", lambda member: member.slots),
    "aither_member_share": ("How many of them are ours now.", lambda member: member.share),
    "aither_member_slots_used": ("How many we use.", lambda member: member.used),
    "aither_member_foreign": ("How many others use.", lambda member: member.foreign),
    "aither_engine_running": ("Requests that its engine runs.", lambda member: member.engine.running),
    "aither_engine_waiting": ("Requests that wait in its engine.", lambda member: member.engine.waiting),
    "aither_engine_kv_used_ratio": ("Share of its KV cache in use.", lambda member: member.engine.kv_used),
    "aither_engine_asleep": ("Whether its engine sleeps.", lambda member: _flag(member.engine.asleep)),
    "aither_engine_prefix_hit_ratio": (
        "Prompt tokens found in its prefix cache, since it started.",
        lambda member: member.engine.prefix_hits,
    ),
    "aither_engine_draft_acceptance_ratio": (
        "Draft tokens accepted, since it started.",
        lambda member: member.engine.draft_acceptance,
    ),
}
CARD_GAUGES: dict[str, tuple[str, Callable[[CardSeen], float | None]]] = {
    "aither_card_vram_mib": ("VRAM of the card.", lambda seen: seen.view and seen.view.vram_mib),
    "aither_card_free_mib": (
        "VRAM that is free, as it is counted.",
        lambda seen: seen.view and seen.view.free_mib,
    ),
    "aither_card_measured_free_mib": (
        "VRAM that was free when its host last measured.",
        lambda seen: seen.view and seen.view.measured_free_mib,
    ),
    "aither_card_leases": ("Holds that stand.", lambda seen: seen.view and len(seen.view.leases)),
    "aither_card_waiters": ("Holds that wait.", lambda seen: seen.view and len(seen.view.waiters)),
    "aither_card_granted": ("Holds granted since it is kept.", lambda seen: seen.view and seen.view.granted),
    "aither_card_problem": (
        "Whether something on it does not fit together.",
        lambda seen: seen.view and float(bool(seen.view.problem)),
    ),
    "aither_card_stale": ("Whether these figures are old.", lambda seen: float(bool(seen.stale))),
    "aither_card_age_seconds": ("How old they are.", age_s),
}


def exposition(
    snapshot: Snapshot, deck: Deck, house: Sequence[Metric] = (), requests: CollectorRegistry | None = None
) -> bytes:
    """The figures of one look, and what this process has counted. What is not known has no sample."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(snapshot, deck, house))
    return generate_latest(registry) + (generate_latest(requests) if requests else b"")


class _Figures(Collector):
    def __init__(self, snapshot: Snapshot, deck: Deck, house: Sequence[Metric]) -> None:
        self._snapshot = snapshot
        self._deck = deck
        self._house = house

    def describe(self) -> Iterable[Metric]:
        """Nothing: the metrics are made when they are collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        snapshot = self._snapshot
        yield from _gauges(POOL_GAUGES, ["pool"], [((pool.name,), pool) for pool in snapshot.pools])
        members = [
            ((pool.name, member.backend), member) for pool in snapshot.pools for member in pool.members
        ]
        yield from _gauges(MEMBER_GAUGES, ["pool", "backend"], members)
        yield _states(
            "aither_member_breaker",
            "1 for the state that its breaker is in.",
            ["pool", "backend", "state"],
            BREAKERS,
            [(labels, member.breaker) for labels, member in members if member.breaker],
        )
        yield _waits(snapshot)
        yield from _gauges(CARD_GAUGES, ["card"], [((seen.card,), seen) for seen in self._deck.cards])
        yield _states(
            "aither_card_resident",
            "1 for where the resident is.",
            ["card", "resident", "state"],
            [state.value for state in Residency],
            [
                ((seen.card, resident.name), resident.residency.value)
                for seen in self._deck.cards
                if seen.view
                for resident in seen.view.residents
            ],
        )
        missing: set[str] = {each.part for each in snapshot.degraded}
        if not self._deck.stored:
            missing.add("postgres")
        away = GaugeMetricFamily(
            "aither_scheduler_part_away", "Whether a part did not answer.", labels=["part"]
        )
        for part in PARTS:
            away.add_metric([part], float(part in missing))
        yield away
        yield from self._house


def _gauges(
    table: dict[str, tuple[str, Callable[[Any], float | None]]],
    labels: list[str],
    things: list[tuple[tuple[str, ...], Any]],
) -> Iterator[Metric]:
    for name, (says, figure) in table.items():
        family = GaugeMetricFamily(name, says, labels=labels)
        for named, thing in things:
            value = figure(thing)
            if value is not None:
                family.add_metric(named, value)
        yield family


def _states(
    name: str,
    says: str,
    labels: list[str],
    states: Iterable[str],
    found: list[tuple[tuple[str, ...], str]],
) -> Metric:
    """A gauge a state, of which exactly one is 1."""
    family = GaugeMetricFamily(name, says, labels=labels)
    for named, state in found:
        for each in states:
            family.add_metric([*named, each], float(each == state))
    return family


def _waits(snapshot: Snapshot) -> Metric:
    """By process: each counts since it started, and one that starts anew would otherwise look like a step back."""
    family = HistogramMetricFamily(
        "aither_pool_wait_seconds",
        "How long calls waited for a slot of the pool.",
        labels=["pool", "process"],
    )
    for process, pools in sorted((snapshot.words or {}).items()):
        for pool in pools:
            family.add_metric([pool.pool, process], _buckets(pool.waits), pool.waits.sum_ms / 1000)
    return family


def _buckets(waits: Waits) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound in seconds."""
    bounds = [repr(bound / 1000) for bound in WAIT_BOUNDS_MS] + ["+Inf"]
    return list(zip(bounds, map(float, accumulate(waits.ever)), strict=True))


def _flag(value: bool | None) -> float | None:
    return None if value is None else float(value)
