"""Saturation as data: what the workers say of their pools, and what Temporal counts in them, in one answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from activities.contracts.backends import Locality
from activities.contracts.pools import (
    WAIT_BOUNDS_MS,
    EngineFigures,
    MemberHealth,
    MemberSource,
    MemberView,
    PoolView,
    Waits,
)
from api.app import create_app
from api.scheduler_views import PoolView as PoolShown
from api.scheduler_views import SchedulerView
from tests.api.conftest import serving
from tests.api.stores import HOST, free_port
from tests.scheduler.conftest import BACK, FRONT, Desk, settings_for
from tests.scheduler.waiting import ask, cancel_all, until

UP = MemberView(
    backend="front",
    model="front-model",
    locality=Locality.LOCAL,
    source=MemberSource.CONFIGURED,
    slots=4,
    health=MemberHealth.UP,
    share=2,
    used=1,
    foreign=1,
)


def counts(**by_bound: int) -> tuple[int, ...]:
    """Counts by bucket: `le_100=3` are three waits of up to 100 ms."""
    return tuple(by_bound.get(f"le_{bound}", 0) for bound in (*WAIT_BOUNDS_MS, "inf"))


def front(*members: MemberView, **other: Any) -> PoolView:
    return PoolView(pool=FRONT, members=members, **other)


async def look(client: httpx2.AsyncClient, pool: str = FRONT) -> Any:
    reply = await client.get("/v1/scheduler")
    assert reply.status_code == 200, reply.text
    SchedulerView.model_validate_json(reply.content)
    (found,) = [each for each in reply.json()["pools"] if each["name"] == pool]
    return found


async def test_what_nobody_serves_has_no_slots(operator: httpx2.AsyncClient) -> None:
    reply = (await operator.get("/v1/scheduler")).json()
    assert reply["degraded"] == []
    assert {pool["name"] for pool in reply["pools"]} >= {FRONT, BACK}
    pool = await look(operator)
    assert (pool["served_by"], pool["slots"], pool["used"], pool["free"]) == (0, 0, 0, 0)
    assert (pool["wait_p50_ms"], pool["wait_p95_ms"]) == (None, None)
    (member,) = pool["members"]
    assert (member["backend"], member["health"], member["slots"]) == ("front", "unknown", 4)
    assert (member["share"], member["used"], member["breaker"]) == (None, None, None)


async def test_processes_are_put_together(desk: Desk, operator: httpx2.AsyncClient) -> None:
    barred = replace(
        UP, health=MemberHealth.BARRED, why="3 failures in a row", breaker="open", share=1, used=0, foreign=2
    )
    joined = MemberView(
        backend="rented",
        model="front-model",
        locality=Locality.CLOUD,
        source=MemberSource.JOINED,
        slots=8,
        health=MemberHealth.UP,
        share=8,
        used=3,
        card="far/1",
        engine=EngineFigures(running=5, kv_used=0.25, asleep=False),
    )
    told = replace(UP, engine=EngineFigures(waiting=2, prefix_hits=0.5))
    await desk.pools.say("one", (front(told, joined),))
    await desk.pools.say("two", (front(barred),))
    pool = await look(operator)
    # A process's share of a member that is barred for it is no room.
    assert (pool["served_by"], pool["slots"], pool["used"], pool["free"]) == (2, 10, 4, 6)
    members = {member["backend"]: member for member in pool["members"]}
    assert members.keys() == {"front", "rented"}
    both = members["front"]
    assert (both["health"], both["slots"], both["share"], both["used"]) == ("up", 4, 3, 1)
    assert (both["foreign"], both["breaker"]) == (2, "open")
    assert both["why"] == "barred for 1 of 2 processes (3 failures in a row)"
    assert (both["engine"]["waiting"], both["engine"]["prefix_hits"]) == (2, 0.5)
    assert both["engine"]["running"] is None
    assert (members["rented"]["card"], members["rented"]["source"]) == ("far/1", "joined")
    assert members["rented"]["engine"]["asleep"] is False


async def test_waits_are_of_all_processes_together(desk: Desk, operator: httpx2.AsyncClient) -> None:
    await desk.pools.say("one", (front(UP, waits=Waits(recent=counts(le_5=90))),))
    await desk.pools.say("two", (front(UP, waits=Waits(recent=counts(le_1000=10))),))
    pool = await look(operator)
    assert pool["wait_p50_ms"] == pytest.approx(5 * 50 / 90, abs=0.1)
    assert pool["wait_p95_ms"] == pytest.approx(750)


async def test_a_pool_that_only_workers_know_is_there(desk: Desk, operator: httpx2.AsyncClient) -> None:
    await desk.pools.say("one", (PoolView(pool="media", members=(replace(UP, backend="canvas"),)),))
    assert (await look(operator, "media"))["slots"] == 2
    one = await operator.get("/v1/scheduler/pools/media")
    PoolShown.model_validate_json(one.content)
    assert (one.json()["name"], one.json()["served_by"], one.json()["degraded"]) == ("media", 1, [])


async def test_where_members_are_is_told_to_operators_only(desk: Desk, operator: httpx2.AsyncClient) -> None:
    await desk.pools.say("one", (front(UP),))
    assert (await look(operator))["members"][0]["base_url"] == "http://front.invalid:9/v1"
    async with desk.client(await desk.key("acme")) as client:
        reply = await client.get("/v1/scheduler")
        one = await client.get(f"/v1/scheduler/pools/{FRONT}")
    assert reply.status_code == one.status_code == 200
    assert "invalid:9" not in reply.text + one.text
    assert one.json()["members"][0]["used"] == 1


async def test_temporals_own_count_of_what_waits(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with desk.client(await desk.key("counted")) as client:
        ids = {await ask(client, priority=priority, model="counted-model") for priority in (2, 2, 5)}
        place = "/v1/scheduler/pools/llm-counted"
        try:
            seen = await until(desk, operator, place, lambda pool: pool["backlog"] == 3)
            assert sum(seen["backlog_by_priority"].values()) == 3
            assert seen["backlog_age_s"] > 0
            assert seen["add_rate"] > 0
            older = await until(
                desk, operator, place, lambda pool: pool["backlog_age_s"] > seen["backlog_age_s"]
            )
            assert older["backlog"] == 3
            idle = (await operator.get("/v1/scheduler/pools/llm-idle")).json()
            assert (idle["backlog"], idle["backlog_age_s"], idle["backlog_by_priority"]) == (0, 0.0, {})
        finally:
            await cancel_all(client, ids)


async def test_watchers_share_a_look(desk: Desk, operator: httpx2.AsyncClient) -> None:
    first = (await operator.get("/v1/scheduler")).json()["at"]
    looks = {first}
    for _ in range(5):
        looks.add((await operator.get("/v1/scheduler")).json()["at"])
    desk.state.scheduling._seen_at = float("-inf")
    assert (await operator.get("/v1/scheduler")).json()["at"] not in looks
    # Six looks in a row may span a second; thirty do not make thirty.
    assert len(looks) < 6


@pytest.mark.parametrize("away", ["redis", "temporal"])
async def test_a_part_that_is_away_costs_its_figures_only(desk: Desk, tmp_path: Path, away: str) -> None:
    nobody = free_port()
    elsewhere = {
        "redis": {"redis_url": f"redis://{HOST}:{nobody}/0"},
        "temporal": {"temporal_address": f"{HOST}:{nobody}"},
    }
    port = free_port()
    app = create_app(settings_for(desk.ground, tmp_path, port, **elsewhere[away]))
    await desk.pools.say("one", (front(UP),))
    async with (
        serving(app, port),
        httpx2.AsyncClient(
            base_url=f"http://{HOST}:{port}", headers={"Authorization": f"Bearer {desk.operator}"}, timeout=60
        ) as client,
    ):
        reply = await client.get("/v1/scheduler")
        assert reply.status_code == 200, reply.text
        SchedulerView.model_validate_json(reply.content)
        assert [each["part"] for each in reply.json()["degraded"]] == [away]
        pool = await look(client)
        figures = {"redis": ("slots", "used", "free", "served_by"), "temporal": ("backlog", "backlog_age_s")}
        for part, names in figures.items():
            assert all((pool[name] is None) == (part == away) for name in names), (part, pool)
        assert [member["backend"] for member in pool["members"]] == ["front"]
        listed = await client.get("/v1/scheduler/queue")
        assert listed.status_code == 200
        assert [each["part"] for each in listed.json()["degraded"]] == (
            ["temporal"] if away == "temporal" else []
        )
        assert listed.json()["more"] is (away == "temporal")
        metrics = await client.get("/metrics")
        assert metrics.status_code == 200
        assert f'aither_scheduler_part_away{{part="{away}"}} 1.0' in metrics.text
        cards = await client.get("/v1/gpu/cards")
        assert cards.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/scheduler/pools/llm-nowhere", 404, "pool"),
        ("/v1/scheduler/queue?limit=0", 422, "limit"),
        ("/v1/scheduler/queue?limit=501", 422, "limit"),
        ("/v1/scheduler/queue?limit=many", 422, "limit"),
        ("/v1/scheduler/queue?pool=llm-nowhere", 422, "pool"),
        ("/v1/scheduler/queue?kind=", 422, "kind"),
        ("/v1/scheduler/queue?priority=1", 422, "priority"),
        ("/v1/gpu/cards/nowhere/0", 404, "card"),
        ("/v1/gpu/cards/box/first", 422, "index"),
        ("/v1/gpu/cards/box/-1", 422, "index"),
    ],
)
async def test_bad_input_is_named(operator: httpx2.AsyncClient, path: str, status: int, field: str) -> None:
    reply = await operator.get(path)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("path", ["/v1/scheduler", "/v1/scheduler/queue", "/v1/gpu/cards", "/metrics"])
async def test_nothing_is_told_without_a_key(desk: Desk, path: str) -> None:
    async with httpx2.AsyncClient(base_url=desk.url) as client:
        assert (await client.get(path)).status_code == 401
