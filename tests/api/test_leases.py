"""Leases over REST and from the command line. Temporal is away: a wish is a row, and the reaper sees to the rest."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker
from typer.testing import CliRunner, Result

import api.leases
from activities.contracts.lease_views import LeaseNote
from activities.contracts.leases import LeaseState
from activities.errors import MarketUnknown
from activities.reaping import ReapingActivities
from api.cli.burst import app
from api.leases import Leases
from infra.postgres.keys import Role
from infra.postgres.leases import PostgresLeases
from infra.settings import settings
from tests.api.configured import configured_api
from tests.api.conftest import Api
from tests.api.stores import Stores
from tests.api.test_burst_offers import BURST
from workflows.names import Queue
from workflows.policy.reaping import lease_of_label, strays
from workflows.reap_leases import ReapLeasesWorkflow

ON = BURST.replace("[burst]\n", "[burst]\nenabled = true\n", 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.leases, "PATIENCE_S", 0.2)
    monkeypatch.setattr(api.leases, "SWEEP_S", 5.0)


@asynccontextmanager
async def house(stores: Stores, folder: Path, text: str = ON) -> AsyncGenerator[tuple[Api, str]]:
    async with configured_api(stores, folder, text) as running:
        yield running, await running.new_key("acme", role=Role.OPERATOR)


async def aither(running: Api, key: str, *words: str) -> Result:
    """`aither burst …`, in a thread while the API is served from this one."""
    env = {"AITHER_API_URL": running.url, "AITHER_API_KEY": key, "AITHER_DATA_DIR": "/nonexistent"}
    settings.cache_clear()
    try:
        return await asyncio.to_thread(CliRunner().invoke, app, words, env=env | {"COLUMNS": "200"})
    finally:
        settings.cache_clear()


async def test_a_lease_is_asked_for_shown_and_ended(real_stores: Stores, tmp_path: Path) -> None:
    async with house(real_stores, tmp_path) as (running, key), running.client(key) as client:
        made = await client.post("/v1/leases", json={"purpose": "reasoning", "why": "a rush"})
        assert made.status_code == 201, made.text
        lease = made.json()
        assert (lease["state"], lease["pool"], lease["usd"]) == ("asked", "llm-orchestrator", 0)
        listed = (await client.get("/v1/leases", params={"open": True})).json()
        assert lease["id"] in [each["id"] for each in listed["data"]]
        assert (listed["burst"]["enabled"], listed["burst"]["day_cap_usd"]) == (True, 20.0)
        ended = await client.delete(f"/v1/leases/{lease['id']}", params={"why": "enough"})
        assert (ended.status_code, ended.json()["ending_code"]) == (202, "cancelled")
        again = await client.delete(f"/v1/leases/{lease['id']}", params={"why": "again"})
        assert again.json()["ending"] == "enough"
        whole = (await client.get(f"/v1/leases/{lease['id']}")).json()
        assert [(each["event"], each["told"]) for each in whole["events"]] == [
            ("asked", "a rush"),
            ("ending", "cancelled: enough"),
        ]
        assert whole["asked_by"].startswith("key:")
        status = await aither(running, key, "status")
        one = await aither(running, key, "status", lease["id"])
        await PostgresLeases(running.state.database).move(
            LeaseNote(lease_id=lease["id"], to=LeaseState.GONE), (LeaseState.ASKED,)
        )
        down = await aither(running, key, "down", lease["id"])
        nothing = await aither(running, key, "status", "--json")
    assert status.exit_code == 0, status.stderr
    assert lease["id"] in status.stdout and "this day of 20" in status.stdout
    assert "a rush" in one.stdout and "0 tokens served" in one.stdout
    assert (down.exit_code, down.stdout.split()[:2]) == (0, [lease["id"], "gone"])
    assert lease["id"] not in [each["id"] for each in json.loads(nothing.stdout)["data"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/leases", {"purpose": "images"}, 409, "burst_off"),
        ("POST", "/v1/leases", {"purpose": "gold"}, 422, "invalid_request"),
        ("POST", "/v1/leases", {"purpose": "reasoning", "hours": 1}, 422, "invalid_request"),
        ("POST", "/v1/leases", {"purpose": "reasoning", "why": "x" * 501}, 422, "invalid_request"),
        ("POST", "/v1/leases/sweep", {"dry_run": "no"}, 422, "invalid_request"),
        ("GET", "/v1/leases/lease_0", None, 404, "lease_not_found"),
        ("DELETE", "/v1/leases/lease_0", None, 404, "lease_not_found"),
        ("GET", "/v1/leases?limit=0", None, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_stored(
    real_stores: Stores, tmp_path: Path, method: str, path: str, body: object, status: int, code: str
) -> None:
    async with house(real_stores, tmp_path) as (running, key), running.client(key) as client:
        before = len(await PostgresLeases(running.state.database).open_leases())
        reply = await client.request(method, path, json=body)
        after = len(await PostgresLeases(running.state.database).open_leases())
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (status, code), reply.text
    assert before == after


async def test_switched_off_nothing_is_rented_and_only_operators_look(
    real_stores: Stores, tmp_path: Path
) -> None:
    async with house(real_stores, tmp_path, BURST) as (running, key), running.client(key) as client:
        refused = await client.post("/v1/leases", json={"purpose": "reasoning"})
        up = await aither(running, key, "up")
        user = await running.new_key("acme", role=Role.USER)
        async with running.client(user) as other:
            statuses = [
                (await other.get("/v1/leases")).status_code,
                (await other.post("/v1/leases", json={"purpose": "reasoning"})).status_code,
                (await other.post("/v1/leases/sweep", json={})).status_code,
                (await other.delete("/v1/leases/lease_0")).status_code,
            ]
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:aither:problem:burst_off")
    assert up.exit_code == 2 and "switched off" in up.stderr
    assert statuses == [403] * 4


async def test_a_sweep_is_told_of(real_stores: Stores, tmp_path: Path, temporal: Client) -> None:
    """An empty market, and then one that does not answer."""

    class Market:
        lists = True

        async def list(self, prefix: str) -> tuple[()]:
            if not self.lists:
                raise MarketUnknown("the list is odd")
            return ()

    market = Market()
    async with house(real_stores, tmp_path) as (running, key):
        rows = PostgresLeases(running.state.database)

        class Nobody:
            async def ensure(self, lease_id: str) -> None: ...

            async def nudge(self, lease_id: str) -> None: ...

        reaper = ReapingActivities(
            rows,
            market,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            Nobody(),
            installation="t",
            strays=strays,
            lease_of=lease_of_label,
        )
        running.app.state.aither = replace(
            running.state, leases=Leases(running.state.topology.burst, rows, temporal)
        )
        worker = Worker(
            temporal,
            task_queue=Queue.BURST,
            workflows=[ReapLeasesWorkflow],
            activities=[reaper.reap_leases],
        )
        async with worker:
            swept = await aither(running, key, "sweep", "--dry-run")
            market.lists = False
            unknown = await aither(running, key, "sweep")
    assert (swept.exit_code, swept.stdout.startswith("0 of our instances")) == (0, True), swept.stderr
    assert unknown.exit_code == 1
    assert "the list is odd" in unknown.stderr and "nothing was touched" in unknown.stderr
