"""Everything is killed at once in the middle of an answer. The next `aither up` goes on from there."""

import httpx2
from temporalio.client import Client

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import kill_all
from tests.e2e.reading import ask, following, look
from tests.e2e.tracing import attempts, closes
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
    assert await attempts(traces, turn["id"]) == [("chat", 2), ("start-turn", 1)]
    assert (await look(rest, settled["id"]))["answer"]["text"] == settled_text
    assert backend.count(settled_text) == 1
