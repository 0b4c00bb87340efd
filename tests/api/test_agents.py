"""Agents: every change is a version, the next turn uses the newest, and those that run keep theirs."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from api.agents import AgentList, AgentView
from api.models import ProblemView
from tests.api.configured import CLOUD, LOCAL, configured_api, settled
from tests.api.conftest import Api, ask
from tests.api.playing import answers, never
from tests.api.stores import Stores

POET: dict[str, Any] = {
    "will": "Answer in verse.",
    "spirit": "Kind.",
    "effort": 6,
    "tools": ["rhyme"],
    "policy": {"local_only": True, "allowed_models": [LOCAL]},
}


@pytest.fixture(scope="module")
async def open_house(real_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with configured_api(real_stores, tmp_path_factory.mktemp("house"), tenant="house") as api:
        yield api


@pytest.fixture
async def house(open_house: Api) -> AsyncIterator[Api]:
    open_house.runs.play = answers
    yield open_house
    await settled(open_house)


@pytest.fixture
async def client(house: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client() as client:
        yield client


async def put(client: httpx2.AsyncClient, name: str, **body: Any) -> Any:
    reply = await client.put(f"/v1/agents/{name}", json=body)
    assert reply.status_code == 200, reply.text
    AgentView.model_validate_json(reply.content)
    return reply.json()


async def texts(house: Api, turn_id: str) -> Any:
    """The agent as the activity that answers the turn sees it."""
    return (await house.runs.rows.context("house", turn_id, 1, 0)).agent


async def test_a_new_version_is_used_by_the_next_turn_while_others_run(
    house: Api, client: httpx2.AsyncClient
) -> None:
    assert (await put(client, "poet", **POET))["version"] == 1
    house.runs.play = never
    running = await ask(client, {"input": "Hi", "agent": "poet"}, wait=None)
    assert (await put(client, "poet", **POET | {"will": "Answer in prose.", "tools": None}))["version"] == 2
    following = await ask(client, {"input": "Hi", "agent": "poet"}, wait=None)
    old, new = await texts(house, running["id"]), await texts(house, following["id"])
    assert (old.will, old.spirit, old.tools) == ("Answer in verse.", "Kind.", ("rhyme",))
    assert (new.will, new.spirit, new.tools) == ("Answer in prose.", "Kind.", None)
    seen = [(await client.get(f"/v1/turns/{turn['id']}")).json() for turn in (running, following)]
    assert [(turn["agent"], turn["agent_version"]) for turn in seen] == [("poet", 1), ("poet", 2)]


async def test_an_agents_effort_and_policy_hold(house: Api, client: httpx2.AsyncClient) -> None:
    await put(client, "clerk", **POET)
    wish = {"local_only": False, "allowed_models": [LOCAL, CLOUD], "max_usd": 1.0}
    turn = await ask(client, {"input": "Prove it", "agent": "clerk", "policy": wish})
    assert (turn["effort"], turn["effort_why"]) == (6, "agent clerk's default")
    assert turn["policy"]["local_only"]
    assert turn["policy"]["allowed_models"] == [LOCAL]
    assert turn["policy"]["max_usd"] == 1.0
    assert house.runs.started[-1].plan.policy.allowed_models == (LOCAL,)
    mine = await ask(client, {"input": "Prove it", "agent": "clerk", "effort": 2})
    assert (mine["effort"], mine["effort_why"]) == (2, "asked for")


async def test_history_and_rollback(client: httpx2.AsyncClient) -> None:
    for will in ("one", "two", "two", "three"):
        await put(client, "turner", will=will)
    back = (await client.post("/v1/agents/turner/rollback", json={"version": 1})).json()
    assert (back["version"], back["will"], back["restored_from"]) == (4, "one", 1)
    reply = await client.get("/v1/agents/turner/versions")
    AgentList.model_validate_json(reply.content)
    assert [(each["version"], each["will"]) for each in reply.json()["data"]] == [
        (4, "one"),
        (3, "three"),
        (2, "two"),
        (1, "one"),
    ]
    assert (await client.get("/v1/agents/turner")).json() == back
    names = [each["name"] for each in (await client.get("/v1/agents")).json()["data"]]
    assert "turner" in names
    assert names == sorted(names)


async def test_agents_are_their_tenants_own(house: Api, client: httpx2.AsyncClient) -> None:
    await put(client, "secret", will="hush")
    async with house.client(await house.new_key("neighbour")) as neighbour:
        assert (await neighbour.get("/v1/agents/secret")).status_code == 404
        assert (await neighbour.get("/v1/agents")).json()["data"] == []
        reply = await neighbour.post("/v1/turns", json={"input": "Hi", "agent": "secret"})
        assert reply.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("PUT", "Poet", {}, 422, "name"),
        ("PUT", "a" * 64, {}, 422, "name"),
        ("PUT", "x", {"effort": 11}, 422, "effort"),
        ("PUT", "x", {"tools": "all"}, 422, "tools"),
        ("PUT", "x", {"will": "a\x00"}, 422, "will"),
        ("PUT", "x", {"mood": "good"}, 422, "mood"),
        ("PUT", "x", {"policy": {"max_usd": -1}}, 422, "policy.max_usd"),
        ("PUT", "x", {"policy": {"allowed_models": ["gpt-9"]}}, 422, "policy.allowed_models[0]"),
        ("PUT", "x", [], 422, "body"),
        ("GET", "nobody", None, 404, "name"),
        ("GET", "nobody/versions", None, 404, "name"),
        ("POST", "nobody/rollback", {"version": 1}, 404, "version"),
        ("POST", "nobody/rollback", {"version": 0}, 422, "version"),
        ("POST", "nobody/rollback", {}, 422, "version"),
    ],
)
async def test_bad_requests_name_their_field_and_store_nothing(
    house: Api, client: httpx2.AsyncClient, method: str, path: str, body: Any, status: int, field: str
) -> None:
    before = await house.stores.count("agents")
    reply = await client.request(method, f"/v1/agents/{path}", json=body)
    assert reply.status_code == status, reply.text
    problem = ProblemView.model_validate(reply.json())
    assert problem.errors is not None
    assert problem.errors[0].field == field
    assert await house.stores.count("agents") == before
