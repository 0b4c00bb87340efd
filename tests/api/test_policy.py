"""What a turn may do: said by its tenant, its key and its request together, stored, obeyed and shown."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from activities.contracts.policy import Bounds
from api.models import TurnView
from infra.postgres import keys
from infra.postgres.tenants import PostgresTenants
from tests.api.configured import CLOUD, LOCAL, configured_api, settled
from tests.api.conftest import Api, ask
from tests.api.playing import answers, never
from tests.api.stores import Stores


@pytest.fixture(scope="module")
async def open_shop(real_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with configured_api(real_stores, tmp_path_factory.mktemp("shop"), tenant="shop") as api:
        yield api


@pytest.fixture
async def shop(open_shop: Api) -> AsyncIterator[Api]:
    open_shop.runs.play = answers
    yield open_shop
    await settled(open_shop)


async def keyed(api: Api, tenant: str, **arguments: Any) -> httpx2.AsyncClient:
    _, secret = await api.state.keys.create(tenant, "bounded", **arguments)
    return api.client(secret)


async def test_effort_and_intent_are_judged_and_their_reasons_shown(shop: Api) -> None:
    async with shop.client() as client:
        easy = await ask(client, {"input": "Hi there!"})
        hard = await ask(
            client, {"input": "Prove rigorously that there are infinitely many primes, step by step."}
        )
    TurnView.model_validate(easy)
    assert easy["intent"] == "conversation"
    assert easy["effort"] < hard["effort"]
    assert easy["effort_why"].startswith("estimated: conversation")
    assert easy["intent_why"]
    assert shop.runs.started[-1].plan.effort == hard["effort"]


async def test_a_given_effort_stands_and_the_intent_is_told_all_the_same(shop: Api) -> None:
    async with shop.client() as client:
        turn = await ask(client, {"input": "Plan my week.", "effort": 2})
    assert (turn["effort"], turn["effort_why"]) == (2, "asked for")
    assert turn["intent"] is not None


async def test_the_configured_effort_comes_before_the_estimate(
    real_stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("efforts")
    async with configured_api(real_stores, folder, "[effort]\ndefault = 4\n") as api, api.client() as client:
        turn = await ask(client, {"input": "Hi"})
    assert (turn["effort"], turn["effort_why"]) == (4, "the configured default")


async def test_everybodys_bounds_hold_and_none_is_lifted(shop: Api) -> None:
    client = await keyed(shop, "bank", bounds=Bounds(max_usd_day=5.0, allowed_models=(LOCAL, CLOUD)))
    await PostgresTenants(shop.state.database).bound("bank", Bounds(local_only=True, max_usd_day=9.0))
    async with client:
        wish = {"local_only": False, "max_usd": 99.0, "max_usd_day": 50.0, "allowed_models": [LOCAL]}
        turn = await ask(client, {"input": "Hi", "policy": {**wish, "compose": True}})
    TurnView.model_validate(turn)
    assert turn["policy"] == {
        "local_only": True,
        "max_usd": 2.5,
        "max_usd_day": 5.0,
        "max_usd_month": None,
        "allowed_models": [LOCAL],
        "allowed_backends": None,
        "approve_cloud": "never",
        "approve_above_usd": None,
        "compose": True,
    }
    policy = shop.runs.started[-1].plan.policy
    assert (policy.local_only, policy.caps.turn_usd, policy.caps.tenant_day_usd) == (True, 2.5, 5.0)
    assert (policy.allowed_models, policy.compose) == ((LOCAL,), True)


async def test_a_tenants_new_bounds_reach_keys_that_are_in_use(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CACHE_S", 0.0)
    async with await keyed(shop, "mill") as client:
        assert not (await ask(client))["policy"]["local_only"]
        await PostgresTenants(shop.state.database).bound("mill", Bounds(local_only=True))
        assert (await ask(client))["policy"]["local_only"]


async def test_a_keys_ladder_serves_auto_and_nothing_else(shop: Api) -> None:
    async with await keyed(shop, "shop", ladder="private") as client:
        assert (await ask(client))["model"] == "auto:private"
        assert shop.runs.started[-1].plan.ladder.name == "private"
        assert (await ask(client, {"input": "Hi", "model": "auto:auto"}))["model"] == "auto:auto"
        assert (await ask(client, {"input": "Hi", "model": CLOUD}))["model"] == CLOUD
        assert [rung.model for rung in shop.runs.started[-1].plan.ladder.answer] == [CLOUD]


async def test_every_ladder_stands_among_the_models(shop: Api) -> None:
    async with shop.client() as client:
        names = {model["id"] for model in (await client.get("/v1/models")).json()["data"]}
    assert {"auto", "auto:private", LOCAL, CLOUD} <= names


async def test_a_turn_that_waited_goes_by_the_policy_that_it_was_accepted_with(shop: Api) -> None:
    async with await keyed(shop, "shop") as client:
        shop.runs.play = never
        first = await ask(client, wait=None)
        body = {"input": "next " * 40, "conversation_id": first["conversation_id"], "max_tokens": 77}
        await ask(client, {**body, "policy": {"local_only": True}}, wait=None)
        await client.post(f"/v1/turns/{first['id']}/cancel")
        await shop.runs.idle()
    waited = shop.runs.started[-1]
    assert waited.turn_id != first["id"]
    assert waited.plan.policy.local_only
    assert (waited.prompt_tokens, waited.answer_tokens) == (58, 77)


async def test_the_prompt_that_cannot_be_trimmed_is_estimated(shop: Api) -> None:
    messages = [
        {"role": "system", "content": "s" * 400},
        {"role": "user", "content": "old " * 1000},
        {"role": "assistant", "content": "old " * 1000},
        {"role": "user", "content": "n" * 800},
    ]
    async with shop.client() as client:
        await ask(client, {"input": messages}, wait=None)
    assert shop.runs.started[-1].prompt_tokens == 100 + 200 + 16
    assert shop.runs.started[-1].answer_tokens == 1024
