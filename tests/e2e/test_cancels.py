"""A turn that is cancelled stops at once, whoever cancels it; one whose workflow is taken away says so."""

import httpx2
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.reading import ask, following, look
from tests.e2e.tracing import closes
from tests.support.stack import Stack
from tests.support.standin import Reply, StandIn
from workflows.names import SWEEP_TURNS, turn_workflow_id


async def test_a_cancelled_turn_stops_its_model_call(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Through the API, and by a person in Temporal's own tools."""
    backend.default = Reply(hold_after=20)
    ways = ("by-the-api", "by-temporal")
    turns = {way: await ask(rest, question(way)) for way in ways}
    for way, turn in turns.items():
        async with following(rest, turn["id"]) as reading:
            await reading.heard(20)
            (call,) = [call for call in backend.calls if call.text == question(way)]
            if way == "by-the-api":
                reply = await rest.post(f"/v1/turns/{turn['id']}/cancel")
                assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
            else:
                await traces.get_workflow_handle(turn_workflow_id(turn["id"])).cancel()
            assert await call.ended(within_s=10) == "disconnected"
            seen = await reading.ended("turn.cancelled")
            assert seen["answer"] is None
        await closes(traces, turn["id"], WorkflowExecutionStatus.CANCELED)
        assert (await look(rest, turn["id"]))["status"] == "cancelled"
        assert backend.count(question(way)) == 1


async def test_a_turn_whose_workflow_was_terminated_fails_and_says_why(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    backend.default = Reply(hold_after=20)
    turn = await ask(rest, question("terminated"))
    async with following(rest, turn["id"]) as reading:
        await reading.heard(20)
        (call,) = [call for call in backend.calls if call.text == question("terminated")]
        waiting = await ask(rest, "behind the terminated one", conversation_id=turn["conversation_id"])
        await traces.get_workflow_handle(turn_workflow_id(turn["id"])).terminate("by an operator")
        assert await call.ended(within_s=10) == "disconnected"
        backend.default = Reply()
        await records.grow_old(stack, turn["id"])
        await traces.get_schedule_handle(SWEEP_TURNS).trigger()
        seen = await reading.ended("turn.failed")
    assert seen["error"]["code"] == "workflow_closed"
    assert "terminated" in seen["error"]["message"]
    async with following(rest, waiting["id"]) as reading:
        await reading.ended()
