"""A turn that waits for a person waits on, whatever is killed meanwhile, and asks nobody twice."""

import httpx2
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e import records
from tests.e2e.conftest import question
from tests.e2e.killing import back, kill, until
from tests.e2e.reading import ask, following
from tests.e2e.tracing import closes
from tests.support.stack import Stack
from tests.support.standin import StandIn


async def test_a_turn_that_waits_for_a_person_outlives_its_worker(
    stack: Stack, backend: StandIn, rest: httpx2.AsyncClient, traces: Client
) -> None:
    """Two wait; one is decided while no worker is there, the other when they are back. The first is a no."""
    yes, no = question("agreed-to"), question("denied")
    policy = {"approve_above_usd": 0}
    turns = [await ask(rest, text, model="dear", policy=policy) for text in (yes, no)]
    async with following(rest, turns[0]["id"]) as agreed, following(rest, turns[1]["id"]) as denied:
        for reading in (agreed, denied):
            await until(lambda reading=reading: reading.of("turn.waiting_for_approval"), "a person is asked")
        killed = kill(stack, "workers")
        ids = [reading.of("turn.waiting_for_approval")[0].data["approval_id"] for reading in (agreed, denied)]
        await decide(rest, ids[1], "deny")
        await back(stack, killed)
        assert backend.count(yes) == backend.count(no) == 0
        await decide(rest, ids[0], "approve")
        await agreed.ended()
        agreed.holds(yes)
        turn = await denied.ended("turn.failed")
    assert turn["error"]["code"] == "not_agreed"
    assert "denied by" in turn["error"]["message"]
    assert (backend.count(yes), backend.count(no)) == (1, 0)
    await closes(traces, turns[0]["id"])
    await closes(traces, turns[1]["id"], WorkflowExecutionStatus.FAILED)
    assert await records.settled(stack, turns[0]["id"]) == [1]
    assert await records.settled(stack, turns[1]["id"]) == []
    found = (await rest.get("/v1/approvals")).json()["data"]
    subjects = [each["subject"] for each in found]
    assert [subjects.count(turn["id"]) for turn in turns] == [1, 1]


async def decide(rest: httpx2.AsyncClient, approval_id: str, option: str) -> None:
    reply = await rest.post(f"/v1/approvals/{approval_id}/decision", json={"option": option})
    assert reply.status_code == 200, reply.text
