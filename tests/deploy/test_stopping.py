"""A process that is told to stop takes nothing new, finishes what it can in its time, and hands on the rest."""

import asyncio

import httpx2
import pytest

from tests.deploy.conftest import NEEDED, Site
from tests.deploy.processes import Running
from tests.deploy.test_journey import question
from tests.e2e.killing import until
from tests.e2e.reading import ask, following
from tests.support.standin import Reply

pytestmark = [pytest.mark.stack, pytest.mark.durability]

STOPPING = "stopping: running calls have a moment to finish"


async def draining(running: Running) -> None:
    await until(lambda: STOPPING in running.said(), f"{running.name} drains")


async def paid(site: Site, turn_id: str) -> list[int]:
    """How many answers were recorded of the turn, and how many bookings settled."""
    answers = "select count(*) from aither.answers where turn_id = $1"
    settled = "select count(*) from aither.spend where turn_id = $1 and kind = 'settled'"
    return [(await site.house.rows(sql, turn_id))[0][0] for sql in (answers, settled)]


async def test_what_a_worker_has_no_time_for_goes_on_elsewhere_and_so_do_its_readers(
    site: Site, rest: httpx2.AsyncClient
) -> None:
    """Worker and API are told to stop in the middle of an answer, and others take over from the text so far."""
    await site.house.up("worker-pools", AITHER_DRAIN_SECONDS="0")
    site.models.held = Reply(hold_after=20)
    text = question("handed on")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        held = reading.text
        site.models.held = Reply()
        for name in ("worker-pools", "api"):
            site.house.tell_to_stop(name)
        assert [await site.house.stopped(name) for name in ("worker-pools", "api")] == [0, 0]
        await until(lambda: reading.breaks, "the reader's stream ceases")
        await site.house.up("worker-pools", "api", AITHER_DRAIN_SECONDS="10")
        await reading.ended()
        reading.holds(text)
    assert not reading.of("hop.restarted")
    assert site.models.count(text) == 2
    assert site.models.calls[-1].body["messages"][-1] == {"role": "assistant", "content": held}
    assert await paid(site, turn["id"]) == [1, 1]


async def test_every_process_finishes_what_it_can_and_takes_nothing_new(
    site: Site, rest: httpx2.AsyncClient
) -> None:
    """One turn is waited for, one followed; a third comes when the worker has been told to stop."""
    await site.house.up("worker-pools", AITHER_DRAIN_SECONDS="10")
    waited, followed, late = (question(word) for word in ("waited", "followed", "late"))
    site.models.held = Reply(hold_after=20)
    waiting = asyncio.create_task(
        rest.post("/v1/turns", json={"input": waited}, headers={"Prefer": "wait=60"})
    )
    turn = await ask(rest, followed)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        await until(lambda: site.models.count(waited), "the model is asked")
        site.house.tell_to_stop("worker-pools")
        await draining(site.house.running["worker-pools"])
        left = await ask(rest, late)
        site.models.release()
        await reading.ended()
        reading.holds(followed)
    assert not reading.of("hop.restarted")
    assert (await waiting).json()["answer"]["text"] == waited
    assert await site.house.stopped("worker-pools") == 0
    assert [site.models.count(text) for text in (waited, followed, late)] == [1, 1, 0]
    assert await paid(site, turn["id"]) == [1, 1]
    assert (await rest.post(f"/v1/turns/{left['id']}/cancel")).json()["status"] == "cancelled"

    names = [name for name in site.house.running if site.house.alive(name)]
    assert {*NEEDED, "worker-pools"} == {*names, "worker-pools"}
    for name in names:
        site.house.tell_to_stop(name)
    stopped = {name: await site.house.stopped(name) for name in names}
    assert set(stopped.values()) == {0}, stopped
    running = "select id from aither.turns where status not in ('completed', 'failed', 'cancelled')"
    assert await site.house.rows(running) == []
    for name in names:
        assert "Traceback" not in site.house.running[name].said(), site.house.running[name].said()[-3000:]
