"""The row decides: the first valid choice wins, whoever makes it; everything else is refused, told and recorded."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from activities.contracts.approvals import (
    APPROVE,
    Advance,
    ApprovalStatus,
    Deciders,
    Escalation,
    Option,
    Scope,
    Surface,
    Verdict,
)
from tests.approvals.gate import Gate, soon


async def test_the_first_wins_and_the_others_are_told_who_and_when(gate: Gate) -> None:
    ref = await gate.opened()
    first = await gate.decide(ref, "anna", note="fine")
    assert (first.verdict, first.decision and first.decision.by) == (Verdict.DECIDED, "anna")
    for who, option in (("anna", "approve"), ("ben", "deny"), ("ben", "approve")):
        late = await gate.decide(ref, who, option)
        assert late.verdict is Verdict.CLOSED
        assert late.decision == first.decision, "who decided, and when"
    assert await gate.audit(ref) == [
        ("opened", "bot", "workflow"),
        ("decided", "anna", "telegram"),
        ("closed", "anna", "telegram"),
        ("closed", "ben", "telegram"),
        ("closed", "ben", "telegram"),
    ]


@pytest.mark.parametrize("who", ["carol", "nobody", "key:abc", "webhook:abc", "", "anna "])
async def test_a_stranger_decides_nothing_and_is_in_the_trail(gate: Gate, who: str) -> None:
    ref = await gate.opened()
    answer = await gate.decide(ref, who)
    assert (answer.verdict, answer.decision) == (Verdict.STRANGER, None)
    assert await gate.status(ref) is ApprovalStatus.OPEN
    assert (await gate.audit(ref))[1:] == [("stranger", who, "telegram")]


async def test_a_role_that_is_brought_counts_for_a_key_and_not_for_a_person(gate: Gate) -> None:
    ref = await gate.opened()
    assert (await gate.decide(ref, "carol", roles=("operator",))).verdict is Verdict.STRANGER
    assert (await gate.decide(ref, "key:abc", roles=("operator",))).verdict is Verdict.DECIDED


@pytest.mark.parametrize("option", ["", "yes", "APPROVE", "x" * 10_000, "'; drop table aither.approvals; --"])
async def test_an_unknown_option_is_refused_and_recorded(gate: Gate, option: str) -> None:
    ref = await gate.opened()
    assert (await gate.decide(ref, "anna", option)).verdict is Verdict.UNKNOWN_OPTION
    story = await gate.store.story(ref)
    assert story is not None
    assert (story["status"], story["audit"][1]["event"]) == ("open", "unknown_option")
    assert story["audit"][1]["option"] == option[:64]


async def test_no_approval_of_another_tenant_is_seen_or_decided(gate: Gate) -> None:
    ref = await gate.opened()
    other = await Gate.built(gate.ground)
    elsewhere = other.ref(ref.approval_id)
    assert await other.store.view(elsewhere) is None
    assert (await other.decide(elsewhere, "anna")).verdict is Verdict.NOT_FOUND
    assert await other.store.people(elsewhere) == []
    assert not await other.store.page(other.tenant_id, status=None, before=None, limit=10)
    assert await gate.status(ref) is ApprovalStatus.OPEN


async def test_every_table_is_bound_to_its_tenant(gate: Gate) -> None:
    ref = await gate.opened(deciders=Deciders(roles=("operator",), quorum=2), waiter="somebody")
    await gate.decide(ref, "anna")
    await gate.webhooks.add(gate.tenant_id, "https://example.com/")
    await gate.decide(
        await gate.opened(agent="a", action="b", fingerprint="c", scopes=tuple(Scope)[::2]), "anna"
    )
    tables = [
        "people",
        "approvals",
        "approval_waiters",
        "approval_votes",
        "approval_audit",
        "grants",
        "webhook_endpoints",
        "webhook_deliveries",
        "webhook_received",
    ]
    connection = await asyncpg.connect(gate.ground.stores.app)
    try:
        for table in tables:
            assert await connection.fetchval(f"select count(*) from aither.{table}") == 0, "without a tenant"
            async with connection.transaction():
                await connection.execute("select set_config('aither.tenant', $1, true)", gate.tenant_id)
                tenants = await connection.fetch(f"select distinct tenant_id from aither.{table}")
                assert {row["tenant_id"] for row in tenants} <= {gate.tenant_id}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from aither.approval_audit")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update aither.approval_audit set by = 'me'")
    finally:
        await connection.close()


async def test_a_quorum_counts_persons_and_a_denial_is_enough(gate: Gate) -> None:
    two = Deciders(roles=("operator",), quorum=2)
    ref = await gate.opened(deciders=two)
    for _ in range(3):
        again = await gate.decide(ref, "anna", note="first")
        assert (again.verdict, again.wanted, again.decision) == (Verdict.COUNTED, 1, None)
    done = await gate.decide(ref, "ben", note="second")
    assert done.verdict is Verdict.DECIDED
    assert done.decision is not None
    assert (done.decision.by, done.decision.note) == ("ben", "second")
    view = await gate.store.view(ref)
    assert view is not None
    assert [vote.by for vote in view.votes] == ["anna", "ben"]
    denied = await gate.opened(deciders=two)
    await gate.decide(denied, "anna")
    assert (await gate.decide(denied, "ben", "deny")).verdict is Verdict.DECIDED


async def test_a_quorum_agrees_on_one_option_and_a_vote_may_be_changed(gate: Gate) -> None:
    options = (
        Option(key="big", label="Big", approves=True),
        Option(key="small", label="Small", approves=True),
        Option(key="deny", label="No", approves=False),
    )
    ref = await gate.opened(deciders=Deciders(people=("anna", "ben"), quorum=2), options=options)
    assert (await gate.decide(ref, "anna", "big")).wanted == 1
    assert (await gate.decide(ref, "ben", "small")).wanted == 1
    done = await gate.decide(ref, "ben", "big")
    assert done.decision is not None
    assert (done.decision.option, done.decision.approved) == ("big", True)


async def test_the_narrowest_scope_of_a_quorum_holds(gate: Gate) -> None:
    alike = {"agent": "bot", "action": "deploy", "fingerprint": "f", "conversation_id": "conv_1"}
    ref = await gate.opened(deciders=Deciders(roles=("operator",), quorum=2), scopes=tuple(Scope), **alike)
    await gate.decide(ref, "anna", scope=Scope.ALWAYS)
    done = await gate.decide(ref, "ben", scope=Scope.CONVERSATION)
    assert done.decision is not None
    assert done.decision.scope is Scope.CONVERSATION


@pytest.mark.parametrize(
    ("option", "scope"), [("approve", Scope.CONVERSATION), ("approve", Scope.ALWAYS), ("deny", Scope.ALWAYS)]
)
async def test_nobody_reaches_further_than_was_offered(gate: Gate, option: str, scope: Scope) -> None:
    ref = await gate.opened()
    assert (await gate.decide(ref, "anna", option, scope=scope)).verdict is Verdict.BAD_SCOPE
    assert await gate.status(ref) is ApprovalStatus.OPEN


async def test_after_the_deadline_the_default_has_decided_whoever_looks_first(gate: Gate) -> None:
    default = {"default_option": "approve", "deadline": soon(0.3)}
    by_choice, by_look, by_clock = [await gate.opened(**default) for _ in range(3)]
    await asyncio.sleep(0.35)
    late = await gate.decide(by_choice, "anna", "deny")
    assert late.verdict is Verdict.CLOSED
    for decision in (
        late.decision,
        await gate.store.decision(by_look),
        (await gate.store.clock(by_clock)).decision,
    ):
        assert decision is not None
        assert (decision.status, decision.option, decision.by) == (ApprovalStatus.EXPIRED, "approve", "")
        assert (decision.approved, decision.surface) == (True, Surface.CLOCK)
    assert [line[0] for line in await gate.audit(by_choice)] == ["opened", "expired", "closed"]


async def test_an_escalation_adds_people_and_may_complete_a_quorum(gate: Gate) -> None:
    then = (Escalation(after=timedelta(hours=1), people=("carol",), quorum=1),)
    ref = await gate.opened(deciders=Deciders(people=("anna", "ben"), quorum=2, then=then))
    assert (await gate.decide(ref, "carol")).verdict is Verdict.STRANGER
    assert [person.name for person in await gate.store.people(ref)] == ["anna", "ben"]
    await gate.store.advance(Advance(ref=ref, stage=1, reminded=0))
    assert [person.name for person in await gate.store.people(ref)] == ["anna", "ben", "carol"]
    assert (await gate.decide(ref, "carol")).verdict is Verdict.DECIDED

    one_said_so = await gate.opened(deciders=Deciders(people=("anna", "ben"), quorum=2, then=then))
    await gate.decide(one_said_so, "anna")
    await gate.store.advance(Advance(ref=one_said_so, stage=1, reminded=0))
    decision = await gate.store.decision(one_said_so)
    assert decision is not None
    assert (decision.by, decision.approved) == ("anna", True)


async def test_what_has_come_is_noted_once(gate: Gate) -> None:
    then = (Escalation(after=timedelta(hours=1), roles=("finance",)),)
    ref = await gate.opened(
        deciders=Deciders(people=("anna",), then=then), reminders=(timedelta(hours=1),) * 2
    )
    for advance in (Advance(ref=ref, stage=1, reminded=2), Advance(ref=ref, stage=1, reminded=1)) * 2:
        await gate.store.advance(advance)
    assert [line[0] for line in await gate.audit(ref)] == ["opened", "escalated", "reminded"]


async def test_a_person_who_was_removed_decides_nothing(gate: Gate) -> None:
    from infra.postgres.people import PostgresPeople

    ref = await gate.opened(deciders=Deciders(people=("anna",)))
    await PostgresPeople(gate.ground.database).remove(gate.tenant_id, "anna")
    assert (await gate.decide(ref, "anna")).verdict is Verdict.STRANGER


async def test_asking_twice_is_asking_once_and_a_dedupe_key_joins_what_is_open(gate: Gate) -> None:
    ask = gate.planned(dedupe_key="nightly")
    first = await gate.store.open(ask, "bot", Surface.WORKFLOW)
    assert await gate.store.open(ask, "bot", Surface.WORKFLOW) == first
    other = gate.planned(dedupe_key="nightly", title="Another word for it")
    openings = await asyncio.gather(*(gate.store.open(other, "bot", Surface.WORKFLOW) for _ in range(20)))
    assert {opened.approval_id for opened in openings} == {ask.id}
    await gate.decide(gate.ref(ask.id), "anna")
    again = await gate.store.open(ask, "bot", Surface.WORKFLOW)
    assert again.decision is not None
    fresh = await gate.store.open(other, "bot", Surface.WORKFLOW)
    assert (fresh.approval_id, fresh.decision) == (other.id, None), "a closed one is joined by nobody"


async def test_many_who_ask_the_same_at_once_ask_it_once(gate: Gate) -> None:
    asks = [gate.planned(dedupe_key="same") for _ in range(30)]
    opened = await asyncio.gather(*(gate.store.open(ask, "bot", Surface.WORKFLOW) for ask in asks))
    assert len({each.approval_id for each in opened}) == 1
    assert len(await gate.store.page(gate.tenant_id, status=None, before=None, limit=50) or []) == 1


async def test_deciders_who_are_none_are_operators(gate: Gate) -> None:
    ref = await gate.opened(options=(APPROVE, Option(key="deny", label="No", approves=False)))
    assert [person.name for person in await gate.store.people(ref)] == ["anna", "ben"]
