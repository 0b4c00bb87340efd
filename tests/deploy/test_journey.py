"""A turn, a swarm and an approval across the processes of an installation, each started as compose starts it."""

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from tests.deploy.conftest import NEEDED, Site
from tests.deploy.files import slow
from tests.deploy.players import PARTS
from tests.e2e.killing import until
from tests.e2e.reading import ask, ended, following
from tests.support.standin import Reply

pytestmark = [pytest.mark.stack, pytest.mark.durability]


def question(label: str, words: int = 40) -> str:
    return " ".join((label, *(f"w{number}" for number in range(words))))


async def test_a_turn_is_answered_and_its_stream_is_resumed(site: Site, rest: httpx2.AsyncClient) -> None:
    reply = await rest.post("/v1/turns", json={"input": "waited for"}, headers={"Prefer": "wait=30"})
    assert (reply.status_code, reply.json()["answer"]["text"]) == (200, "waited for")
    site.models.held = Reply(hold_after=20)
    text = question("resumed")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        held = list(reading.events)
    site.models.release()
    async with following(rest, turn["id"]) as again:
        # It goes on from where the first one was let go.
        again.events += held
        again.text, again.appended = reading.text, reading.appended
        await again.ended()
        again.holds(text)
    assert site.models.count(text) == 1


async def test_openais_sdk_streams_an_answer(site: Site) -> None:
    async with openai.AsyncOpenAI(base_url=f"{site.house.api_url}/v1", api_key=site.user) as client:
        text = question("by the SDK")
        stream = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": text}], stream=True
        )
        chunks = [chunk async for chunk in stream]
    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == text
    assert len(said) > 10
    assert [choice.finish_reason for choice in chunks[-1].choices or chunks[-2].choices] == ["stop"]


async def test_a_swarm_comes_to_its_synthesis(site: Site, rest: httpx2.AsyncClient) -> None:
    body = {"goal": "Say how sound the whole is", "tasks": PARTS, "workers": 2}
    job = (await rest.post("/v1/jobs", json=body)).json()

    async def over() -> bool:
        return (await rest.get(f"/v1/jobs/{job['id']}")).json()["status"] not in {"queued", "running"}

    await until(over, "the swarm ends")
    done = (await rest.get(f"/v1/jobs/{job['id']}")).json()
    assert done["status"] == "completed", done
    assert "All parts are sound" in str(done)
    assert done["tasks"]["done"] == PARTS


async def test_an_approval_is_won_by_one_and_lets_a_dear_turn_go(
    site: Site, rest: httpx2.AsyncClient, operator: httpx2.AsyncClient
) -> None:
    text = question("dear")
    turn = await ask(rest, text, model="dear", policy={"approve_above_usd": 0})
    async with following(rest, turn["id"]) as reading:
        await until(lambda: reading.of("turn.waiting_for_approval"), "somebody is asked")
        asked = reading.of("turn.waiting_for_approval")[0].data["approval_id"]

        async def choose(client: httpx2.AsyncClient) -> Any:
            return await client.post(f"/v1/approvals/{asked}/decision", json={"option": "approve"})

        assert (await choose(rest)).status_code == 403
        assert site.models.count(text) == 0
        said = await asyncio.gather(*(choose(operator) for _ in range(8)))
        assert sorted(reply.status_code for reply in said) == [200] + [409] * 7
        await reading.ended()
        reading.holds(text)
    assert site.models.count(text) == 1


async def test_a_turn_outlives_a_killed_worker_and_is_answered_once(
    site: Site, rest: httpx2.AsyncClient
) -> None:
    site.models.held = Reply(hold_after=20)
    text = question("killed")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        await site.house.kill("worker-pools")
        site.models.held = Reply()
        # It is to hand on what it is at when it is told to stop: the next test's wish, so that it starts once.
        await site.house.up("worker-pools", AITHER_DRAIN_SECONDS="0")
        # Temporal gives the call up ten seconds later: time to look at all of them as compose does.
        await asyncio.gather(*map(site.house.looked_at, NEEDED))
        await reading.ended()
        reading.holds(text)
    assert (await ended(rest, turn["id"]))["answer"]["text"] == text
    assert site.models.count(text) == 2
    answers = "select count(*) from aither.answers where turn_id = $1"
    assert (await site.house.rows(answers, turn["id"]))[0][0] == 1


@slow
async def test_the_fleets_that_no_journey_needs_start_and_stop(site: Site) -> None:
    """That compose's commands are those of fleets is looked at in every run; that they run, here."""
    names = ("worker-telegram", "worker-burst")
    await site.house.up(*names)
    await asyncio.gather(*map(site.house.looked_at, names))
    for name in names:
        site.house.tell_to_stop(name)
    assert [await site.house.stopped(name) for name in names] == [0, 0]
