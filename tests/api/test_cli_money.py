"""The commands about policy, agents and money, on a running API and its database."""

import json

import pytest

from tests.api.conftest import Api, ask
from tests.api.test_cli import aither


async def test_explain_tells_the_story(api: Api) -> None:
    async with api.client() as client:
        turn = await ask(client, {"input": "Hi", "policy": {"local_only": True}})
    done = await aither(api, "explain", turn["id"])
    assert done.code == 0
    assert "It was bounded: local only." in done.out
    assert "Nothing left the building." in done.out
    told = json.loads((await aither(api, "explain", turn["id"], "--json")).out)
    assert (told["id"], told["effort"], told["policy"]) == (turn["id"], turn["effort"], turn["policy"])
    assert told["route"] == turn["route"]
    assert told["story"][0] == "It was asked of ladder auto."


async def test_keys_are_made_with_bounds(api: Api) -> None:
    made = await aither(
        api, "key", "create", "bounded", "--tenant", "cli", "--local-only", "--max-usd-day", "5",
        "--ladder", "auto", "--model-allow", "smollm2-135m-instruct", "--json",
    )  # fmt: skip
    key = json.loads(made.out)
    assert key["ladder"] == "auto"
    assert {name: value for name, value in key["policy"].items() if value is not None} == {
        "local_only": True,
        "max_usd_day": 5.0,
        "allowed_models": ["smollm2-135m-instruct"],
    }
    async with api.client(key["key"]) as client:
        turn = await ask(client)
    assert (turn["policy"]["local_only"], turn["policy"]["max_usd_day"]) == (True, 5.0)
    assert "local only; at most $5 a day" in (await aither(api, "key", "list", "--tenant", "cli")).out


async def test_tenants_are_bounded_and_let_go(api: Api) -> None:
    await api.new_key("landlord")
    done = await aither(api, "tenant", "set", "landlord", "--max-usd-month", "40", "--local-only")
    assert done.out == "landlord: local only; at most $40 a month\n"
    done = await aither(api, "tenant", "set", "landlord", "--lift", "local_only", "--max-usd", "1", "--json")
    policy = json.loads(done.out)["policy"]
    assert (policy["local_only"], policy["max_usd_month"], policy["max_usd"]) == (None, 40.0, 1.0)
    shown = await aither(api, "tenant", "show", "landlord")
    assert shown.out == "landlord: at most $1 a turn; at most $40 a month\n"


async def test_agents_from_put_to_rollback(api: Api) -> None:
    await aither(api, "agent", "put", "bard", "--will", "Sing.", "--effort", "4")
    put = json.loads((await aither(api, "agent", "put", "bard", "--will", "Hum.", "--json")).out)
    assert (put["version"], put["will"], put["effort"]) == (2, "Hum.", 4)
    back = json.loads((await aither(api, "agent", "rollback", "bard", "1", "--json")).out)
    assert (back["version"], back["will"], back["restored_from"]) == (3, "Sing.", 1)
    history = json.loads((await aither(api, "agent", "history", "bard", "--json")).out)
    assert [each["version"] for each in history] == [3, 2, 1]
    assert "bard" in (await aither(api, "agent", "list")).out
    assert "restored from version 1" in (await aither(api, "agent", "show", "bard")).out


async def test_spend_is_summed(api: Api) -> None:
    async with api.client() as client:
        await ask(client)
    report = json.loads((await aither(api, "spend", "--by", "model", "--json")).out)
    assert [line["group"] for line in report["data"]] == ["smollm2-135m-instruct"]
    assert report["total"]["local_turns_share"] == 1.0
    assert "100%" in (await aither(api, "spend")).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explain", "turn_nope"), "no turn"),
        (("key", "create", "x", "--ladder", "nope"), "--ladder: there is no 'nope'"),
        (("key", "create", "x", "--model-allow", "gpt-9"), "--model-allow: there is no 'gpt-9'"),
        (("key", "create", "x", "--max-usd", "inf"), "amount of money"),
        (("key", "create", "x", "--max-usd", "nan"), "--max-usd"),
        (("tenant", "set", "acme"), "nothing to set"),
        (("tenant", "set", "acme", "--lift", "gravity"), "no bound 'gravity'"),
        (("tenant", "show", "nobody"), "no tenant nobody"),
        (("agent", "show", "nobody"), "no agent nobody"),
        (("agent", "rollback", "nobody", "1"), "no agent nobody"),
        (("spend", "--by", "mood"), "by"),
        (("spend", "--since", "yesterday"), "since"),
    ],
)
async def test_bad_input_is_2_and_says_what(api: Api, words: tuple[str, ...], said: str) -> None:
    done = await aither(api, *words)
    assert done.code == 2, done
    assert said in done.err
