"""The API holds nothing that a client needs: killed, it is asked again, and its streams go on where they broke."""

import asyncio
import json
import os
from pathlib import Path

import httpx2
from temporalio.client import Client

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import away, back, frozen, kill, until
from tests.e2e.reading import ask, ended, following
from tests.e2e.tracing import closes
from tests.support.stack import AITHER, Stack
from tests.support.standin import Reply, StandIn


async def test_a_stream_goes_on_where_it_broke(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    backend.default = Reply(hold_after=20)
    text = question("resumed")
    turn = await ask(rest, text)
    async with following(rest, turn["id"]) as reading, following(rest, turn["id"]) as other:
        await reading.heard(20)
        await other.heard(20)
        async with away(stack, "api"):
            # The model goes on while nobody listens.
            backend.release()

            async def recorded() -> bool:
                return bool(await records.answers(stack, turn["id"]))

            await until(recorded, "the answer is recorded without the API")
        for each in (reading, other):
            await each.ended()
            assert each.breaks > 0
            each.holds(text)
            assert not each.of("hop.restarted")
            assert each.tokens == 61
    assert backend.count(text) == 1


async def test_the_command_line_survives_it(stack: Stack, backend: StandIn, tmp_path: Path) -> None:
    backend.default = Reply(hold_after=20)
    text = question("command-line")
    shown = tmp_path / "shown"
    with shown.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(*AITHER, "ask", text, "--stream"), env=stack.environment, stdout=output, stderr=output
        )
    try:
        await until(lambda: " w18" in shown.read_text(), "the command shows 20 tokens")
        await back(stack, kill(stack, "api"))
        backend.release()
        assert await asyncio.wait_for(process.wait(), 30) == 0, shown.read_text()
    finally:
        if process.returncode is None:
            os.kill(process.pid, 9)
            await process.wait()
    assert shown.read_text() == f"{text}\n"
    assert backend.count(text) == 1


async def test_a_request_that_is_repeated_finds_its_turn(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient
) -> None:
    """The client was waiting for the answer, and has not even been told the turn's id."""
    backend.default = Reply(hold_after=20)
    text = question("repeated")
    headers = {"Idempotency-Key": "one-question", "Prefer": "wait=30"}

    async def send() -> httpx2.Response:
        return await rest.post("/v1/turns", json={"input": text}, headers=headers)

    waiting = asyncio.create_task(send())
    await until(lambda: backend.count(text), "the model is asked")
    killed = kill(stack, "api")
    await asyncio.wait([waiting])
    assert isinstance(waiting.exception(), httpx2.TransportError)
    await back(stack, killed)
    backend.release()
    reply = await send()
    assert reply.status_code == 200
    assert reply.headers["Idempotency-Replayed"] == "true"
    assert reply.json()["answer"]["text"] == text
    assert await records.stored(stack, "repeated") == [reply.json()["id"]]
    assert backend.count(text) == 1


async def test_a_turn_that_was_stored_and_not_started_is_started(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Nobody but the row knows of it: Temporal is killed before it reads the request to start it."""
    text = question("never-started")
    with frozen(stack, "temporal"):
        asking = asyncio.create_task(rest.post("/v1/turns", json={"input": text}))

        async def stored() -> list[str]:
            return await records.stored(stack, "never-started")

        await until(stored, "the turn is stored")
        killed = kill(stack, "api", "temporal")
    await asyncio.wait([asking])
    assert isinstance(asking.exception(), httpx2.TransportError)
    await back(stack, killed)
    (turn_id,) = await stored()
    found = await rest.get(f"/v1/turns/{turn_id}")
    assert json.loads(found.content)["status"] == "running"
    turn = await ended(rest, turn_id)
    assert turn["status"] == "completed"
    assert turn["answer"]["text"] == text
    assert backend.count(text) == 1
    await closes(traces, turn_id)
