"""A killed PostgreSQL, Temporal or Redis is waited for: turns finish, and clients hear no wrong word meanwhile."""

import asyncio

import httpx2
from temporalio.client import Client

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import away, back, frozen, kill, until
from tests.e2e.reading import ask, ended, following
from tests.e2e.tracing import chats, closes
from tests.support.stack import Stack
from tests.support.standin import Reply, StandIn


async def test_postgres_killed_when_the_answer_is_to_be_recorded(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    backend.default = Reply(hold_after=20)
    text = question("postgres-away")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        (call,) = [call for call in backend.calls if call.text == text]
        async with away(stack, "postgres"):
            backend.release()
            assert await call.ended() == "whole"
        assert (await reading.ended())["answer"]["text"] == text
        reading.holds(text)
    assert backend.count(text) == 1
    assert len(await records.answers(stack, turn["id"])) == 1
    await closes(traces, turn["id"])
    assert await chats(traces, turn["id"]) == [1]
    # Every connection of the pools was lost; none of them is handed out again.
    backend.default = Reply()
    after = await asyncio.gather(*(ask(rest, question(f"postgres-back-{n}")) for n in range(12)))
    assert {(await ended(rest, each["id"]))["status"] for each in after} == {"completed"}


async def test_postgres_away_for_longer_than_a_request_can_wait(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    backend.default = Reply(hold_after=20)
    text = question("postgres-gone")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        backend.default = Reply()
        async with away(stack, "postgres"):
            backend.release()
            # Who asks meanwhile waits a moment, and is told to come again; nothing is stored.
            refused = await asyncio.gather(
                rest.get(f"/v1/turns/{turn['id']}"), rest.post("/v1/turns", json={"input": "never-stored"})
            )
            assert [reply.status_code for reply in refused] == [503, 503]
            assert {reply.json()["type"] for reply in refused} == {"urn:aither:problem:store_unavailable"}
        assert (await reading.ended())["answer"]["text"] == text
        reading.holds(text)
    # The worker held on to the answer: it was not asked for, and paid, a second time.
    assert backend.count(text) == 1
    assert len(await records.answers(stack, turn["id"])) == 1
    assert not await records.stored(stack, "never-stored")


async def test_temporal_killed_mid_answer(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    backend.default = Reply(hold_after=20)
    text = question("temporal-away")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        with frozen(stack, "temporal"):
            # The answer comes without Temporal; so does the next turn's acceptance.
            backend.default = Reply()
            backend.release()
            await reading.ended()
            reading.holds(text)
            later = await ask(rest, question("asked-meanwhile"))
            killed = kill(stack, "temporal")
    await back(stack, killed)
    await closes(traces, turn["id"])
    assert backend.count(text) == 1
    async with following(rest, later["id"]) as reading:
        await reading.ended()
    assert backend.count(question("asked-meanwhile")) == 1


async def test_redis_killed_mid_stream(stack: Stack, backend: StandIn, rest: httpx2.AsyncClient) -> None:
    backend.default = Reply(hold_after=20)
    text = question("redis-away")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        async with away(stack, "redis"):
            backend.release()
            # Its row tells the end while Redis is away, and the rest of the text with it.
            await reading.ended()
        reading.holds(text)
        assert reading.breaks == 0
    assert backend.count(text) == 1
    # Streams are live again.
    backend.default = Reply(hold_after=20)
    turn = await ask(rest, question("redis-back"))
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        backend.release()
        await reading.ended()
        reading.holds(question("redis-back"))


async def test_redis_killed_with_a_hop_that_nobody_was_told_of(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    """The call breaks off and is made again meanwhile: the client learns of it from the turn's row."""
    backend.default = Reply(hold_after=20)
    text = question("redis-and-model-away")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        async with away(stack, "redis"):
            backend.default = Reply()
            await backend.refuse()
            await backend.accept()
            await reading.ended()
        reading.holds(text)
    assert [event.data["step"] for event in reading.of("hop.started")] == [1, 2]
    assert [event.data["outcome"] for event in reading.of("hop.ended")] == ["failed", "answered"]


async def test_a_model_server_that_goes_away_mid_answer_is_waited_for(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    backend.default = Reply(hold_after=20)
    text = question("model-away")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        await backend.refuse()
        backend.default = Reply()

        async def failed() -> bool:
            return any(event.kind == "hop.ended" for event in reading.events)

        await until(failed, "the hop has failed")
        await backend.accept()
        ended_turn = await reading.ended()
        reading.holds(text)
    outcomes = [hop["outcome"] for hop in ended_turn["route"]]
    assert (outcomes[0], outcomes[-1]) == ("failed", "answered")
    assert ended_turn["answer"]["text"] == text
