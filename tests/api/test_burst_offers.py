"""What could be rented, over REST and from the command line; the market is a stand-in, Temporal is real."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker
from typer.testing import CliRunner, Result

import api.offers
from activities.offers import OfferActivities
from api.cli.burst_offers import offers as shown_offers
from api.offers import OfferBook
from infra.postgres.keys import Role
from infra.settings import settings
from infra.vast.market import open_market
from tests.api.configured import configured_api
from tests.api.conftest import Api
from tests.api.stores import Stores
from tests.support.standin_vast import StandInVast
from tests.support.standin_vast_faults import Fault, Op
from tests.support.vast_book import book, offer
from workflows.names import Queue
from workflows.policy import offers

BURST = """
[burst]
installation = "t"

[burst.reasoning]
pool = "llm-orchestrator"
trusted = true
image = "box:1"
command = ["serve"]
vram_mib = 24_000
usd_per_hour = 1.0
model_gb = 17
"""


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[StandInVast]:
    async with StandInVast(tmp_path / "market", book(5, machines=150)) as place:
        yield place


@asynccontextmanager
async def house(stores: Stores, folder: Path, temporal: Client) -> AsyncGenerator[tuple[Api, str]]:
    """An API with a reasoning box configured, and an operator's key."""
    async with configured_api(stores, folder, BURST) as running:
        running.app.state.aither = replace(running.state, offers=OfferBook(temporal))
        yield running, await running.new_key("acme", role=Role.OPERATOR)


@asynccontextmanager
async def renting(temporal: Client, place: StandInVast, key: str = "vast-key") -> AsyncGenerator[None]:
    async with open_market(SecretStr(key), place.url) as market:
        listing = OfferActivities(market, offers)
        async with Worker(temporal, task_queue=Queue.BURST, activities=[listing.list_offers]):
            yield


async def command(running: Api, key: str, *words: str) -> Result:
    """`aither burst offers --for reasoning`, in a thread while the API is served from this one."""
    app = typer.Typer()
    app.command()(shown_offers)
    env = {"AITHER_API_URL": running.url, "AITHER_API_KEY": key, "AITHER_DATA_DIR": "/nonexistent"}
    settings.cache_clear()
    try:
        asked = ("--for", "reasoning", *words)
        return await asyncio.to_thread(CliRunner().invoke, app, asked, env=env | {"COLUMNS": "200"})
    finally:
        settings.cache_clear()


async def test_the_ranking_is_shown_with_what_was_left_out(
    real_stores: Stores, tmp_path: Path, temporal: Client, place: StandInVast
) -> None:
    place.offers[7] = offer(7, machine_id=77, inet_down=9000.0)
    place.offers[8] = offer(8, machine_id=77, inet_down=9000.0, dph_base=0.41)
    async with house(real_stores, tmp_path, temporal) as (running, key), renting(temporal, place):
        async with running.client(key) as client:
            reply = await client.get("/v1/burst/offers", params={"for": "reasoning"})
        shown = await command(running, key)
        raw = await command(running, key, "--json")
    assert reply.status_code == 200, reply.text
    seen = reply.json()
    best = seen["data"][0]
    assert (best["id"], best["machine"]) == ("7", "77")
    downs = [each["inet_down_mbps"] for each in seen["data"]]
    assert len(downs) >= 3 and downs == sorted(downs, reverse=True) and min(downs) > 1000
    assert all(each["real_usd_per_hour"] <= 1.0 < each["useful_in_s"] for each in seen["data"])
    whys = {each["id"]: each["drop"] for each in seen["dropped"]}
    assert whys["8"] == "same_machine"
    assert {"network", "price"} <= set(whys.values())
    assert shown.exit_code == 0, shown.stderr
    assert (
        "will do" in shown.stdout
        and "why not" in shown.stdout
        and "machine 77 has a better offer: 7" in shown.stdout
    )
    assert json.loads(raw.stdout)["data"][0]["id"] == "7"
    assert not place.orders and place.faults.seen[Op.CREATE] == 0


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.NOT_FOUND, 502, "market_refused"),
        (Fault.BUSY_TEXT, 503, "market_unavailable"),
        (Fault.ERROR, 503, "market_unavailable"),
        (Fault.NOT_JSON, 503, "market_unavailable"),
    ],
)
async def test_a_market_that_fails_is_told_of_by_its_word(
    real_stores: Stores,
    tmp_path: Path,
    temporal: Client,
    place: StandInVast,
    fault: Fault,
    status: int,
    code: str,
) -> None:
    place.faults.always(Op.SEARCH, fault)
    async with house(real_stores, tmp_path, temporal) as (running, key), renting(temporal, place):
        async with running.client(key) as client:
            reply = await client.get("/v1/burst/offers", params={"for": "reasoning"})
        shown = await command(running, key)
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:aither:problem:{code}")
    assert "vast-key" not in reply.text
    assert shown.exit_code != 0 and "Traceback" not in shown.stderr
    assert place.faults.seen[Op.SEARCH] == 2, "asked once each time"


async def test_who_may_look_and_for_what(real_stores: Stores, tmp_path: Path, temporal: Client) -> None:
    async with house(real_stores, tmp_path, temporal) as (running, key):
        async with running.client(key) as client:
            for query, status, told in (
                ({"for": "images"}, 409, "[burst.images]"),
                ({"for": "dreams"}, 422, "for"),
                ({}, 422, "for"),
                ({"for": "reasoning", "limit": "3"}, 422, "limit"),
            ):
                reply = await client.get("/v1/burst/offers", params=query)
                assert (reply.status_code, told in reply.text) == (status, True), reply.text
        async with running.client() as client:
            assert (await client.get("/v1/burst/offers", params={"for": "reasoning"})).status_code == 403


async def test_without_a_worker_it_ends_soon_and_says_why(
    real_stores: Stores, tmp_path: Path, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.offers, "PICKED_UP_WITHIN", timedelta(seconds=0.5))
    async with house(real_stores, tmp_path, temporal) as (running, key), running.client(key) as client:
        reply = await client.get("/v1/burst/offers", params={"for": "reasoning"})
    assert reply.status_code == 503
    assert "no worker" in reply.json()["detail"]
