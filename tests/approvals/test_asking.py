"""A workflow asks, and goes on when somebody has decided, whatever dies or is lost in between."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from activities.contracts.approvals import ApprovalRef, ApprovalStatus, Option, Scope, Surface
from infra.ids import new_id
from tests.approvals.gate import Gate, soon
from workflows.approval_starts import wake_approval
from workflows.names import SWEEP_APPROVALS, Queue, approval_workflow_id

ALIKE = {
    "agent": "bot",
    "action": "deploy",
    "fingerprint": "f0",
    "scopes": tuple(Scope),
    "conversation_id": "c1",
}


async def sweep(gate: Gate) -> int:
    return await gate.ground.client.execute_workflow(
        SWEEP_APPROVALS, id=new_id("sweep"), task_queue=Queue.TURNS, result_type=int
    )


async def aged(gate: Gate, ref: ApprovalRef) -> None:
    """What has happened to it was a minute ago."""
    connection = await asyncpg.connect(gate.ground.stores.admin)
    try:
        await connection.execute(
            "update aither.approvals set opened_at = opened_at - interval '1 minute',"
            " closed_at = closed_at - interval '1 minute', swept_at = null where id = $1",
            ref.approval_id,
        )
    finally:
        await connection.close()


async def test_a_workflow_asks_and_is_told(gate: Gate) -> None:
    ask = gate.ask()
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    assert (await gate.decide(ref, "anna", note="go")).verdict == "decided"
    await wake_approval(gate.ground.client, ref)
    (decision,) = await gate.told_what(handle)
    assert (decision.status, decision.approved, decision.by) == (ApprovalStatus.DECIDED, True, "anna")
    assert (decision.surface, decision.note) == (Surface.TELEGRAM, "go")
    await gate.over(ref)
    assert await gate.audit(ref) == [("opened", handle.id, "workflow"), ("decided", "anna", "telegram")]


async def test_it_goes_on_at_the_deadline_with_the_default(gate: Gate) -> None:
    ask = gate.ask(deadline=soon(1.5))
    (decision,) = await gate.told_what(await gate.asked(ask))
    assert (decision.status, decision.option, decision.approved) == (ApprovalStatus.EXPIRED, "deny", False)
    await gate.over(gate.ref(ask.id))


async def test_two_workflows_that_ask_the_same_are_told_the_same(gate: Gate) -> None:
    asks = [gate.ask(dedupe_key="same"), gate.ask(dedupe_key="same")]
    handles = [await gate.asked(ask) for ask in asks]
    count = "select count(*) from aither.approval_waiters w join aither.approvals a on a.id = w.approval_id"
    (asked,) = [line["id"] for line in await page_of_one(gate)]
    ref = gate.ref(asked)
    await gate.until(f"{count} where a.id = $1", ref, lambda waiting: waiting == 2)
    await gate.decide(ref, "ben")
    await wake_approval(gate.ground.client, ref)
    first, second = [(await gate.told_what(handle))[0] for handle in handles]
    assert first == second
    assert first.approval_id == asked


async def page_of_one(gate: Gate) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while not (page := await gate.store.page(gate.tenant_id, status=None, before=None, limit=5)):
            await asyncio.sleep(0.02)
    return page


async def test_a_yes_that_reaches_further_answers_the_next_ask_without_a_card(gate: Gate) -> None:
    handle = await gate.asked(gate.ask(**ALIKE), gate.ask(**ALIKE))
    (first,) = await page_of_one(gate)
    ref = gate.ref(first["id"])
    await gate.decide(ref, "anna", scope=Scope.CONVERSATION)
    await wake_approval(gate.ground.client, ref)
    once, again = await gate.told_what(handle)
    assert (again.surface, again.by, again.grant_id) == (Surface.GRANT, "anna", once.grant_id)
    assert again.approved
    answered = gate.ref(again.approval_id)
    assert await gate.audit(answered) == [
        ("opened", handle.id, "workflow"),
        ("decided", "anna", "grant"),
    ]
    await gate.over(ref)


async def test_a_word_that_is_lost_costs_time_only(gate: Gate) -> None:
    """The approval's workflow is gone, and nobody tells it of the decision."""
    ask = gate.ask(deadline=soon(2))
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    await gate.ground.client.get_workflow_handle(approval_workflow_id(ask.id)).terminate()
    await gate.decide(ref, "anna")
    (decision,) = await gate.told_what(handle)
    assert decision.by == "anna"


async def test_a_workflow_that_was_terminated_is_started_again_by_the_decision(gate: Gate) -> None:
    ask = gate.ask()
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    await gate.ground.client.get_workflow_handle(approval_workflow_id(ask.id)).terminate()
    await gate.decide(ref, "anna")
    await wake_approval(gate.ground.client, ref)
    (decision,) = await gate.told_what(handle)
    assert decision.by == "anna"
    await gate.over(ref)


async def test_the_sweep_tells_what_nobody_told(gate: Gate) -> None:
    """Whoever took the decision died before it could tell."""
    ask = gate.ask()
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    await gate.decide(ref, "anna")
    await aged(gate, ref)
    assert await sweep(gate) >= 1
    (decision,) = await gate.told_what(handle)
    assert decision.by == "anna"
    await gate.told(ref)
    await aged(gate, ref)
    connection = await asyncpg.connect(gate.ground.stores.admin)
    try:
        due = await connection.fetch("select approval_id from aither.due_approvals(1000)")
    finally:
        await connection.close()
    assert ref.approval_id not in {row["approval_id"] for row in due}, "it is told once"


async def test_the_sweep_starts_what_was_never_started(gate: Gate) -> None:
    ref = await gate.opened()
    await aged(gate, ref)
    await sweep(gate)
    await gate.attended(ref)
    await gate.decide(ref, "anna", "deny")
    await wake_approval(gate.ground.client, ref)
    await gate.over(ref)


async def test_whoever_is_cancelled_asks_no_more_and_nobody_is_left_to_decide(gate: Gate) -> None:
    ask = gate.ask(dedupe_key="shared")
    first = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)
    second = await gate.asked(gate.ask(dedupe_key="shared"))
    waiting = "select count(*) from aither.approval_waiters where approval_id = $1"
    await gate.until(waiting, ref, lambda count: count == 2)
    await first.cancel()
    with pytest.raises(WorkflowFailureError):
        await gate.told_what(first)
    assert await gate.status(ref) is ApprovalStatus.OPEN, "another still waits for it"
    await second.cancel()
    with pytest.raises(WorkflowFailureError):
        await gate.told_what(second)
    assert await gate.status(ref) is ApprovalStatus.CANCELLED
    assert (await gate.decide(ref, "anna")).verdict == "closed"
    await gate.over(ref)
    assert [line[0] for line in await gate.audit(ref)] == ["opened", "cancelled", "closed"]


async def test_an_ask_that_cannot_be_fails_whoever_asks_and_is_not_stored(gate: Gate) -> None:
    wrong = gate.ask(title=" ", options=(Option(key="A", label="", approves=True),), grant_ttl=timedelta(0))
    handle = await gate.asked(wrong)
    with pytest.raises(WorkflowFailureError) as raised:
        await gate.told_what(handle)
    assert isinstance(raised.value.cause, ActivityError)
    cause = raised.value.cause.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "approval_invalid"
    for field in ("title", "options[0].key", "options[0].label", "default_option", "grant_ttl"):
        assert f"{field}: " in cause.message
    assert not await gate.store.page(gate.tenant_id, status=None, before=None, limit=1)
