"""`/metrics`: the same figures in Prometheus's words, with nothing in them of whom a call is for."""

from dataclasses import replace

import httpx2
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from activities.contracts.pools import WAIT_BOUNDS_MS, EngineFigures, PoolView, Waits
from tests.scheduler.cards import CARD, played_card
from tests.scheduler.conftest import FRONT, Desk
from tests.scheduler.test_pools import UP, counts, front
from tests.scheduler.waiting import ask, cancel_all, until

ALLOWED = {
    *("pool", "backend", "state", "process", "le", "card", "resident", "part"),
    *("kind", "status", "fleet", "window", "workflow", "version", "method", "route"),
}


async def scraped(client: httpx2.AsyncClient) -> dict[str, list[Sample]]:
    """Samples by name."""
    reply = await client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == CONTENT_TYPE_LATEST
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(reply.text):
        assert family.documentation, family.name
        for sample in family.samples:
            assert sample.labels.keys() <= ALLOWED, sample
            found.setdefault(sample.name, []).append(sample)
    return found


def value(samples: list[Sample], **labels: str) -> float:
    (found,) = [sample for sample in samples if labels.items() <= sample.labels.items()]
    return found.value


async def test_the_figures_of_a_look(desk: Desk, operator: httpx2.AsyncClient) -> None:
    engine = EngineFigures(running=3, waiting=2, kv_used=0.5, asleep=False, draft_acceptance=0.75)
    waits = Waits(ever=counts(le_5=2, le_250=1, le_inf=1), sum_ms=1_000_300)
    await desk.pools.say("one", (front(replace(UP, engine=engine), waits=waits),))
    await desk.pools.say("two", (front(replace(UP, breaker="open")), PoolView(pool="media")))
    async with played_card(desk):
        seen = await scraped(operator)
    assert value(seen["aither_pool_slots"], pool=FRONT) == 4
    assert value(seen["aither_pool_slots_used"], pool=FRONT) == 2
    assert value(seen["aither_pool_workers"], pool=FRONT) == 2
    assert value(seen["aither_pool_workers"], pool="media") == 1
    assert value(seen["aither_pool_backlog"], pool="media") == 0
    assert value(seen["aither_member_up"], pool=FRONT, backend="front") == 1
    assert value(seen["aither_member_foreign"], backend="front") == 1
    assert {s.labels["backend"] for s in seen["aither_member_up"]} == {"front"}
    states = {s.labels["state"]: s.value for s in seen["aither_member_breaker"]}
    assert states == {"open": 1, "half_open": 0, "closed": 0}
    assert value(seen["aither_engine_running"], backend="front") == 3
    assert value(seen["aither_engine_kv_used_ratio"], backend="front") == 0.5
    assert value(seen["aither_engine_asleep"], backend="front") == 0
    assert "aither_engine_prefix_hit_ratio" not in seen
    assert value(seen["aither_card_vram_mib"], card=CARD) == 24_000
    assert value(seen["aither_card_leases"], card=CARD) == 1
    assert value(seen["aither_card_waiters"], card=CARD) == 2
    assert value(seen["aither_card_resident"], resident="swap", state="awake") == 1
    assert sum(s.value for s in seen["aither_card_resident"]) == 1
    assert {s.labels["part"]: s.value for s in seen["aither_scheduler_part_away"]}["redis"] == 0


async def test_waits_are_a_histogram_of_each_process(desk: Desk, operator: httpx2.AsyncClient) -> None:
    waits = Waits(ever=counts(le_5=2, le_250=1, le_inf=1), sum_ms=1_000_300)
    await desk.pools.say("one", (front(UP, waits=waits),))
    await desk.pools.say("two", (front(UP),))
    seen = await scraped(operator)
    buckets = {
        s.labels["le"]: s.value
        for s in seen["aither_pool_wait_seconds_bucket"]
        if s.labels["process"] == "one"
    }
    assert [float(bound) * 1000 for bound in list(buckets)[:-1]] == list(WAIT_BOUNDS_MS)
    assert (buckets["0.005"], buckets["0.1"], buckets["0.25"], buckets["900.0"]) == (2, 2, 3, 3)
    assert buckets["+Inf"] == value(seen["aither_pool_wait_seconds_count"], pool=FRONT, process="one") == 4
    assert value(seen["aither_pool_wait_seconds_sum"], pool=FRONT, process="one") == 1000.3
    assert value(seen["aither_pool_wait_seconds_count"], pool=FRONT, process="two") == 0


async def test_nothing_tells_whom_a_call_is_for(desk: Desk) -> None:
    async with desk.client(await desk.key("secretive")) as client:
        turn = await ask(client, model="scraped-model")
        try:
            await desk.pools.say("one", (front(UP, running=("turn_running",)),))
            await until(desk, client, "/v1/scheduler/pools/llm-scraped", lambda pool: pool["backlog"] == 1)
            async with played_card(desk):
                text = (await client.get("/metrics")).text
            assert 'aither_pool_backlog{pool="llm-scraped"} 1.0' in text
            for secret in ("secretive", turn, "turn_running", "left", "right", "holder", "invalid:9"):
                assert secret not in text
        finally:
            await cancel_all(client, {turn})
