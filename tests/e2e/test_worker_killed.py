"""A killed worker costs time, never an answer, and never a second call for an answer that is there."""

from contextlib import AsyncExitStack

import httpx2
from temporalio.client import Client

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import back, frozen, kill, until
from tests.e2e.reading import ask, ended, following
from tests.e2e.tracing import chats, closes
from tests.support.stack import Stack
from tests.support.standin import Reply, StandIn
from workflows.names import turn_workflow_id


async def test_the_same_turn_completes_when_its_worker_is_killed_mid_answer(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    backend.default = Reply(hold_after=20)
    goes_on, starts_over = question("goes-on"), question("starts-over")
    first = await ask(rest, goes_on)
    second = await ask(rest, starts_over, model="plain")
    async with AsyncExitStack() as clients:
        one = await clients.enter_async_context(following(rest, first["id"]))
        two = await clients.enter_async_context(following(rest, second["id"]))
        await one.heard(20)
        await two.heard(20)
        held = one.text
        broken = list(backend.calls)
        killed = kill(stack, "workers")
        backend.default = Reply()
        meanwhile = await ask(rest, question("meanwhile"))
        await back(stack, killed)
        assert [await call.ended() for call in broken] == ["disconnected"] * 2

        for reading, text in ((one, goes_on), (two, starts_over)):
            turn = await reading.ended()
            reading.holds(text)
            assert turn["answer"]["text"] == text
            assert [hop["outcome"] for hop in turn["route"]] == ["answered"]
            assert [row["text"] for row in await records.answers(stack, reading.turn_id)] == [text]
            assert backend.count(text) == 2
            assert await records.settled(stack, reading.turn_id) == [1]
            await closes(traces, reading.turn_id)
            assert await chats(traces, reading.turn_id) == [2]
    # One went on from what the client had, the other could not, and said so.
    again = next(call for call in backend.calls if call.text == goes_on and call not in broken)
    assert again.body["messages"][-1] == {"role": "assistant", "content": held}
    assert not one.of("hop.restarted")
    assert len(two.of("hop.restarted")) == 1
    assert (await ended(rest, meanwhile["id"]))["status"] == "completed"


async def test_a_step_whose_answer_was_recorded_is_never_run_again(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Temporal never hears that the calls are over: it is stopped in its tracks, and then killed."""
    answered, handed_on = question("answered-once"), question("handed-on")
    backend.script(Reply(hold_after=1, tool_calls=(("reason", '{"question": "?"}'),)), Reply(hold_after=60))
    hard = await ask(rest, handed_on, effort=9)
    await until(lambda: backend.count(handed_on) == 1, "the hard turn is asked")
    easy = await ask(rest, answered)
    behind = await ask(rest, question("behind-it"), conversation_id=easy["conversation_id"])
    backend.default = Reply()
    async with following(rest, easy["id"]) as reading:
        await reading.heard(60)
        with frozen(stack, "temporal"):
            backend.release()

            async def recorded() -> bool:
                return all([await records.answers(stack, turn["id"]) for turn in (easy, hard)])

            await until(recorded, "both answers are recorded")
            # The client does not wait for Temporal to hear of it.
            await reading.ended()
            reading.holds(answered)
            killed = kill(stack, "workers", "temporal")
    await back(stack, killed)

    turn = await ended(rest, hard["id"])
    assert [(hop["rung"], hop["outcome"]) for hop in turn["route"]] == [
        ("small", "escalated"),
        ("large", "answered"),
    ]
    for each in (easy, hard):
        await closes(traces, each["id"])
    # The second attempt found the answer.
    assert await chats(traces, easy["id"]) == [2]
    assert await chats(traces, hard["id"]) == [2, 1]
    assert (await ended(rest, behind["id"]))["answer"]["text"] == question("behind-it")
    assert backend.count(answered) == 1
    assert backend.count(question("behind-it")) == 1
    assert backend.count(handed_on, model="small") == 1
    assert backend.count(handed_on, model="large") == 1
    assert await records.settled(stack, easy["id"]) == [1]
    assert await records.settled(stack, hard["id"]) == [1, 2]


async def test_a_worker_that_stood_still_cannot_spoil_what_came_after_it(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Taken for dead, it wakes up when the next attempt is due, and finishes its own call."""
    backend.default = Reply(hold_after=20)
    text = question("stood-still")
    turn = await ask(rest, text)
    handle = traces.get_workflow_handle(turn_workflow_id(turn["id"]))
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        with frozen(stack, "workers"):

            async def given_up() -> bool:
                pending = (await handle.describe()).raw_description.pending_activities
                return [activity.attempt for activity in pending] == [2]

            await until(given_up, "Temporal gives up the attempt")
            backend.default = Reply()
            backend.release()
        await reading.ended()
        reading.holds(text)
    assert len(await records.answers(stack, turn["id"])) == 1
    assert await records.settled(stack, turn["id"]) == [1]
    await closes(traces, turn["id"])
