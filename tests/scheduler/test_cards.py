"""GPU cards over REST: what they tell to whom, what an operator may tell them, and what stands when they are away."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from activities.contracts.cards import CardView
from activities.errors import StoreUnavailable
from api.scheduler_views import CardList, CardState
from infra.postgres.keys import Role
from tests.scheduler.cards import CARD, VIEW, played_card
from tests.scheduler.conftest import Desk
from tests.scheduler.waiting import queue
from workflows.names import card_workflow_id
from workflows.starts import ensure_card

PLACE = f"/v1/gpu/cards/{CARD}"


class Rows:
    """What cards have last said, by the test."""

    def __init__(self, *views: CardView) -> None:
        self.now = views
        self.up = True

    async def views(self) -> tuple[CardView, ...]:
        if not self.up:
            raise StoreUnavailable("PostgreSQL does not answer")
        return self.now


@pytest.fixture
async def rows(desk: Desk) -> AsyncIterator[Rows]:
    told, had = Rows(), desk.state.cards._rows
    desk.state.cards._rows = told
    yield told
    desk.state.cards._rows = had


async def listed(client: httpx2.AsyncClient) -> Any:
    reply = await client.get("/v1/gpu/cards")
    assert reply.status_code == 200, reply.text
    CardList.model_validate_json(reply.content)
    return reply.json()


async def test_a_card_tells_of_itself(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with played_card(desk):
        reply = await operator.get(PLACE)
        CardState.model_validate_json(reply.content)
        card = reply.json()
        assert (card["card"], card["host"], card["index"], card["posture"]) == (CARD, "box", 0, "awake")
        assert (card["vram_mib"], card["free_mib"], card["measured_free_mib"]) == (24_000, 4_500, 4_400)
        assert [(each["name"], each["residency"]) for each in card["residents"]] == [("swap", "awake")]
        assert (card["stale"], card["age_s"]) == (False, None)
        assert [lease["token"] for lease in card["leases"]] == [7]
        assert [waiter["tenant"] for waiter in card["waiters"]] == ["right", "left"]
        assert (await listed(operator))["data"] == [card]


async def test_whose_the_holds_are_is_told_to_them_and_to_operators(desk: Desk) -> None:
    async with played_card(desk), desk.client(await desk.key("left")) as left:
        for card in ((await left.get(PLACE)).json(), (await listed(left))["data"][0]):
            (lease,), (theirs, ours) = card["leases"], card["waiters"]
            assert (lease["holder"], lease["tenant"], lease["token"]) == ("holder-left-1", "left", 7)
            assert ours["what"] == "an image for left"
            hidden = ("lease", "holder", "tenant", "what", "token")
            assert [theirs[name] for name in hidden] == [None] * len(hidden)
            assert (theirs["priority"], theirs["mib"]) == (4, 1000)
            assert "right" not in str(card)


async def test_who_waits_for_a_card_is_in_the_queue(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with played_card(desk), desk.client(await desk.key("right")) as right:
        seen = await queue(desk, operator, {"holder-left-3", "holder-right-2"})
        first, second = seen["data"]
        assert (first["kind"], first["card"], first["pool"], first["priority"]) == ("card", CARD, None, 2)
        assert (first["tenant"], first["more_urgent"], second["more_urgent"]) == ("left", 0, 1)
        assert first["since"].startswith("2026-11-01T12:00:03")
        await queue(desk, right, {"holder-right-2"}, kind="card")
        await queue(desk, operator, set(), kind="turn")


async def test_an_operator_parks_wakes_and_repairs(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with played_card(desk, replace(VIEW, problem="swap should be awake")):
        asleep = await operator.post(f"{PLACE}/sleep")
        assert asleep.status_code == 202, asleep.text
        CardState.model_validate_json(asleep.content)
        assert (asleep.json()["posture"], asleep.json()["residents"][0]["residency"]) == ("asleep", "absent")
        assert asleep.json()["problem"]
        awake = await operator.post(f"{PLACE}/wake")
        assert (awake.status_code, awake.json()["posture"]) == (202, "awake")
        repaired = await operator.post(f"{PLACE}/repair")
        assert (repaired.status_code, repaired.json()["problem"]) == (202, "")


@pytest.mark.parametrize("role", [Role.USER, Role.SERVICE])
async def test_only_an_operator_may(desk: Desk, operator: httpx2.AsyncClient, role: Role) -> None:
    async with played_card(desk), desk.client(await desk.key("acme", role=role)) as client:
        for wish in ("sleep", "wake", "repair"):
            reply = await client.post(f"{PLACE}/{wish}")
            assert (reply.status_code, reply.json()["type"]) == (403, "urn:aither:problem:forbidden")
        assert (await operator.get(PLACE)).json()["revision"] == VIEW.revision


async def test_a_refusal_says_why(desk: Desk, operator: httpx2.AsyncClient) -> None:
    async with played_card(desk, replace(VIEW, problem="stubborn")):
        reply = await operator.post(f"{PLACE}/sleep")
    assert (reply.status_code, reply.json()["type"]) == (409, "urn:aither:problem:card_refused")
    assert "a move is under way" in reply.json()["detail"]


async def test_a_card_that_is_not_kept_is_shown_by_its_configuration(
    desk: Desk, operator: httpx2.AsyncClient, rows: Rows
) -> None:
    (card,) = (await listed(operator))["data"]
    assert (card["card"], card["vram_mib"], card["posture"], card["free_mib"]) == (CARD, 24_000, None, None)
    assert [(each["name"], each["residency"]) for each in card["residents"]] == [("swap", "unknown")]
    # Another test may have kept it, and ended it.
    assert card["why_stale"] in {"no workflow keeps it yet", "its workflow has ended"}
    assert (card["stale"], card["age_s"]) == (True, None)
    for wish in ("sleep", "repair"):
        reply = await operator.post(f"{PLACE}/{wish}")
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:aither:problem:card_unavailable")
    assert (await operator.post("/v1/gpu/cards/nowhere/0/sleep")).status_code == 404


async def test_what_a_card_last_said_stands_and_says_how_old_it_is(
    desk: Desk, operator: httpx2.AsyncClient, rows: Rows
) -> None:
    said = datetime.now(UTC) - timedelta(minutes=5)
    gone = replace(VIEW, card="old/1", waiters=(), at=said)
    rows.now = (replace(VIEW, at=said), gone)
    async with played_card(desk, worker=False):
        seen = (await listed(operator))["data"]
        assert [card["card"] for card in seen] == [CARD, "old/1"]
        for card in seen:
            assert (card["stale"], card["granted"]) == (True, 7)
            assert 300 <= card["age_s"] < 600
        waits = (await operator.get("/v1/scheduler/queue")).json()
        assert {call["id"] for call in waits["data"]} == {"holder-left-3", "holder-right-2"}
        assert [each["part"] for each in waits["degraded"]] == ["temporal"]
        assert (await operator.get("/v1/gpu/cards/old/1")).json()["why_stale"] == "no workflow keeps it yet"
        reply = await operator.post(f"{PLACE}/sleep")
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:aither:problem:card_unavailable")


async def test_without_the_database_what_answers_is_shown(
    desk: Desk, operator: httpx2.AsyncClient, rows: Rows
) -> None:
    rows.up = False
    async with played_card(desk):
        seen = await listed(operator)
        assert [card["stale"] for card in seen["data"]] == [False]
        assert [each["part"] for each in seen["degraded"]] == ["postgres"]
        assert (await operator.get(PLACE)).status_code == 200
        assert (await operator.get("/v1/gpu/cards/nowhere/0")).status_code == 503


async def test_a_real_card_hears_what_an_operator_wants(desk: Desk, operator: httpx2.AsyncClient) -> None:
    """No worker of its host is there, so nothing moves; but it answers, and knows what is wanted."""
    client = desk.ground.client
    await ensure_card(client, desk.state.topology.cards[0])
    try:
        awake = (await operator.get(PLACE)).json()
        assert (awake["stale"], awake["posture"], awake["vram_mib"]) == (False, "awake", 24_000)
        asleep = await operator.post(f"{PLACE}/sleep")
        assert (asleep.status_code, asleep.json()["posture"]) == (202, "asleep")
        assert (await operator.post(f"{PLACE}/repair")).status_code == 202
        await queue(desk, operator, set())
    finally:
        await client.get_workflow_handle(card_workflow_id(CARD)).terminate()
