"""The whole stack goes in the middle of an answer, rudely or politely. The next `aither up` goes on from there."""

from contextlib import AsyncExitStack

import httpx2
from temporalio.client import Client

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import kill_all
from tests.e2e.reading import Reading, ask, following, look
from tests.e2e.tracing import chats, closes, failures
from tests.support.stack import Stack
from tests.support.standin import Reply, StandIn


async def test_a_running_turn_completes_after_everything_was_killed(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    settled_text, text, queued_text = question("settled"), question("running"), question("queued")
    settled = await ask(rest, settled_text)
    async with following(rest, settled["id"]) as reading:
        await reading.ended()
    backend.default = Reply(hold_after=20)
    turn = await ask(rest, text)
    queued = await ask(rest, queued_text, conversation_id=turn["conversation_id"])
    async with following(rest, turn["id"]) as one, following(rest, queued["id"]) as two:
        await one.heard(20)
        await kill_all(stack)
        backend.default = Reply()
        assert "up in" in await stack.up()
        await one.ended()
        one.holds(text)
        assert one.breaks > 0
        # The stream outlived it too: nothing was said twice.
        assert not one.of("hop.restarted")
        await two.ended()
        two.holds(queued_text)
    assert backend.count(text) == 2
    assert backend.count(queued_text) == 1
    for turn_id in (turn["id"], queued["id"]):
        assert len(await records.answers(stack, turn_id)) == 1
        await closes(traces, turn_id)
    assert await chats(traces, turn["id"]) == [2]
    assert (await look(rest, settled["id"]))["answer"]["text"] == settled_text
    assert backend.count(settled_text) == 1


async def test_running_turns_complete_after_down_and_up(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """The workers hand their calls back, those of all pools at once: nothing waits for a missed heartbeat."""
    backend.default = Reply(hold_after=20)
    texts = {"small": question("stopped-small"), "plain": question("stopped-plain")}
    async with AsyncExitStack() as clients:
        readings: dict[str, Reading] = {}
        for model, text in texts.items():
            turn = await ask(rest, text, model=model)
            readings[model] = await clients.enter_async_context(following(rest, turn["id"]))
            await readings[model].heard(20)
        await stack.down()
        backend.default = Reply()
        await stack.up()
        for model, text in texts.items():
            await readings[model].ended()
            readings[model].holds(text)
            assert backend.count(text) == 2
    for reading in readings.values():
        await closes(traces, reading.turn_id)
        (retried,) = await failures(traces, reading.turn_id)
        assert "shut" in retried.lower(), retried
