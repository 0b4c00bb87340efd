"""What was spent: sums that agree with the turns they come from, by day, model, tenant and key."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from activities.contracts.chat import FinishReason, Usage
from activities.contracts.records import Answer, CallCost, Recorded
from activities.contracts.turn import TurnInput
from api.relay import ENDS
from api.routes.spend import SpendView
from tests.api.configured import CLOUD, LOCAL, configured_api, settled
from tests.api.conftest import Api, ask
from tests.api.playing import PlayedRuns, hop
from tests.api.stores import Stores


async def climbs(runs: PlayedRuns, turn: TurnInput) -> None:
    """The local model hands on to the cloud, which answers for 3 cents; the reference would cost 5 in all."""

    async def call(step: int, model: str, cost: CallCost) -> Recorded:
        usage = Usage(prompt_tokens=100, completion_tokens=10)
        answer = Answer(
            step=step, text="So.", finish_reason=FinishReason.STOP, backend="x", model=model, usage=usage
        )
        return await runs.rows.record_answer(
            turn.tenant_id, turn.turn_id, answer, (hop(turn),), final=step == 1, cost=cost
        )

    await call(0, LOCAL, CallCost(nano_usd=0, reference_nano_usd=20_000_000, local=True))
    recorded = await call(1, CLOUD, CallCost(nano_usd=30_000_000, reference_nano_usd=30_000_000, local=False))
    async with runs.events.writer(turn.turn_id) as writer:
        writer.emit(ENDS[recorded.status], recorded.turn)


@pytest.fixture(scope="module")
async def open_bank(real_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with configured_api(real_stores, tmp_path_factory.mktemp("bank"), tenant="spender") as api:
        async with api.client() as client:
            await ask(client)
            api.runs.play = climbs
            await ask(client)
        async with api.client(await api.new_key("spender")) as other:
            await ask(other)
        yield api


@pytest.fixture
async def client(open_bank: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_bank.client() as client:
        yield client
    await settled(open_bank)


async def report(client: httpx2.AsyncClient, **parameters: str) -> Any:
    reply = await client.get("/v1/spend", params=parameters)
    assert reply.status_code == 200, reply.text
    SpendView.model_validate_json(reply.content)
    return reply.json()


async def test_the_day_and_the_total(client: httpx2.AsyncClient) -> None:
    seen = await report(client)
    today = datetime.now(UTC).date()
    assert (seen["since"], seen["until"]) == (str(today.replace(day=1)), str(today))
    assert seen["reference_model"] == CLOUD
    total = seen["total"]
    assert total["usd"] == pytest.approx(0.06)
    assert total["reference_usd"] == pytest.approx(0.10)
    assert (total["turns"], total["local_turns"], total["calls"], total["local_calls"]) == (3, 1, 5, 3)
    assert total["local_turns_share"] == pytest.approx(1 / 3)
    assert total["local_calls_share"] == pytest.approx(3 / 5)
    assert [line["group"] for line in seen["data"]] == [str(today)]


async def test_by_model_key_and_tenant(client: httpx2.AsyncClient) -> None:
    models = {line["group"]: line for line in (await report(client, by="model"))["data"]}
    assert models[CLOUD]["usd"] == pytest.approx(0.06)
    assert (models[CLOUD]["calls"], models[CLOUD]["local_calls"]) == (2, 0)
    assert models[LOCAL]["usd"] == 0
    assert (models[LOCAL]["calls"], models[LOCAL]["prompt_tokens"]) == (3, 207)
    by_key = (await report(client, by="key"))["data"]
    assert sorted(line["usd"] for line in by_key) == pytest.approx([0.03, 0.03])
    tenants = (await report(client, by="tenant"))["data"]
    assert [(line["group"], line["turns"]) for line in tenants] == [("spender", 3)]


async def test_a_turns_own_bill(client: httpx2.AsyncClient) -> None:
    reply = await client.post("/v1/turns", json={"input": "Why?"}, headers={"Prefer": "wait=10"})
    turn = reply.json()
    assert turn["cost_usd"] == pytest.approx(0.03)
    assert turn["reference_cost_usd"] == pytest.approx(0.05)
    assert reply.headers["x-aither-cost-usd"] == "0.030000000"
    assert reply.headers["x-aither-model"] == CLOUD


async def test_an_empty_span_is_all_zeros(client: httpx2.AsyncClient) -> None:
    seen = await report(client, since="2020-01-01", until="2020-01-31")
    assert seen["data"] == []
    assert (seen["total"]["usd"], seen["total"]["local_turns_share"]) == (0, None)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"by": "mood"}, "by"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-02-30"}, "until"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "since"),
        ({"since": "0001-01-01"}, "since"),
        ({"month": "11"}, "month"),
    ],
)
async def test_bad_parameters_are_named(
    client: httpx2.AsyncClient, parameters: dict[str, str], field: str
) -> None:
    reply = await client.get("/v1/spend", params=parameters)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == field
