"""What people are asked of a turn fits a card, says what matters, and shows no more of a question than a trace does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.approval_checks import mistakes
from activities.contracts.agreement import Asker
from activities.contracts.approvals import ApprovalKind, ApprovalStatus, Decision, Scope, Surface, Urgency
from activities.contracts.policy import ApproveCloud, Barred, ClimbPlan, TurnPolicy
from activities.contracts.turn import TurnInput
from tests.policy.climbing import CLAUDE, PRICE, REASONER, STANDBY, plan
from workflows.policy.agreement import agreed, approval_ask, deadline_of, money
from workflows.policy.climb import Ask, SeekAgreement, Sight
from workflows.policy.ladder import begin, decide
from workflows.policy.steps import sight_after_asking, step_for

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASK = TurnPolicy(approve_cloud=ApproveCloud.ASK)
ASKER = Asker(key_id="key_1", key_name="laptop")
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300
)


def turn(of: ClimbPlan, **changed: object) -> TurnInput:
    start = TurnInput(
        turn_id="turn_1",
        tenant_id="acme",
        plan=of,
        effort_why="asked for",
        priority=1,
        preview="what is it",
        prompt_tokens=1000,
        answer_tokens=500,
    )
    return replace(start, **changed)  # pyright: ignore[reportArgumentType]


def sought(of: TurnInput) -> SeekAgreement:
    sight = Sight(prompt_tokens=of.prompt_tokens, answer_tokens=of.answer_tokens)
    decision = decide(of.plan, begin(of.plan), sight)
    assert isinstance(decision, SeekAgreement)
    return decision


def test_a_card_says_where_a_question_would_go_and_what_that_costs() -> None:
    begun = turn(plan(3, answer=(CLAUDE,), policy=ASK))
    ask = approval_ask(begun, sought(begun), ASKER, NOW)
    assert ask.title == "This question would go to claude-model, about $0.007"
    assert ask.kind is ApprovalKind.ESCALATION
    assert (ask.cost_usd, ask.leaves_building) == (pytest.approx(0.007), True)
    assert (ask.requester, ask.agent) == ("key laptop", "key:key_1")
    assert (ask.subject, ask.id) == ("turn_1", "turn_1.1")
    assert "what is it" in ask.summary
    assert ask.grant_most_usd is None
    # What was said before goes there as well, as far as the window goes.
    longer = approval_ask(begun, sought(begun), replace(ASKER, history_bytes=40_000), NOW)
    assert longer.cost_usd == pytest.approx((1000 + 10_000) * 2e-6 + 500 * 10e-6)
    longest = approval_ask(begun, sought(begun), replace(ASKER, history_bytes=40_000_000), NOW)
    assert longest.cost_usd == pytest.approx((32_768 - 500) * 2e-6 + 500 * 10e-6)


def test_a_turn_of_a_job_is_asked_for_like_any_other() -> None:
    begun = turn(plan(3, answer=(CLAUDE,), policy=ASK), priority=4)
    asker = Asker(key_id="key_1", key_name="laptop", agent="bob", job_id="job_1")
    ask = approval_ask(begun, sought(begun), asker, NOW)
    assert ask.conversation_id == "job_1", "a yes for the session is one for the job"
    assert Scope.CONVERSATION in ask.scopes
    assert (ask.requester, ask.agent) == ("agent bob, key laptop, job_1", "bob")
    assert ask.urgency is Urgency.NORMAL


def test_asks_are_alike_by_backend_and_model_unless_each_is_to_be_decided_anew() -> None:
    def fingerprint(policy: TurnPolicy, turn_id: str) -> str:
        begun = turn(plan(3, answer=(CLAUDE,), policy=policy), turn_id=turn_id)
        return approval_ask(begun, sought(begun), ASKER, NOW).fingerprint

    always = TurnPolicy(approve_cloud=ApproveCloud.ALWAYS)
    assert fingerprint(ASK, "one") == fingerprint(ASK, "two")
    assert len({fingerprint(ASK, "one"), fingerprint(always, "one"), fingerprint(always, "two")}) == 3


@given(
    texts=st.tuples(*[TEXTS] * 6),
    prompt=st.integers(0, 10**9),
    history=st.integers(0, 10**12),
    above=st.none() | st.sampled_from([0.0, 0.01, 5.0]),
    cloud=st.sampled_from([ApproveCloud.ASK, ApproveCloud.ALWAYS]),
    priced=st.booleans(),
)
def test_whatever_is_asked_can_be_asked(
    texts: tuple[str, ...],
    prompt: int,
    history: int,
    above: float | None,
    cloud: ApproveCloud,
    priced: bool,
) -> None:
    """Names are whatever a configuration says; a card bounds them all."""
    name, model, preview, key, agent, session = texts
    rung = replace(CLAUDE, name=name, model=model)
    policy = TurnPolicy(approve_cloud=cloud, approve_above_usd=above)
    of = plan(3, answer=(rung,), policy=policy, windows={"claude": 2 * 10**9})
    of = replace(of, terms=tuple(replace(each, price=PRICE if priced else None) for each in of.terms))
    begun = turn(of, preview=preview[:200], prompt_tokens=prompt)
    asker = Asker(
        key_id="key_1",
        key_name=key[:100],
        agent=agent[:63] or None,
        conversation_id=session[:64] or None,
        history_bytes=history,
    )
    seek = sought(begun)
    ask = approval_ask(begun, seek, asker, NOW + timedelta(seconds=1))
    assert list(mistakes(ask, NOW)) == []
    assert (ask.kind is ApprovalKind.SPEND) == seek.dear
    if seek.dear:
        assert ask.cost_usd is not None
        assert ask.grant_most_usd is not None
        assert ask.cost_usd <= ask.grant_most_usd <= max(0.0001, 2.5 * ask.cost_usd)
        assert f"{money(ask.grant_most_usd)}" in ask.details or seek.anew
    assert (Scope.ALWAYS in ask.scopes) != (cloud is ApproveCloud.ALWAYS)


@given(
    patience=st.timedeltas(timedelta(0), timedelta(days=400)),
    passed=st.timedeltas(timedelta(0), timedelta(days=2)),
    lifetime=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
)
def test_nobody_is_waited_for_beyond_a_turns_life(
    patience: timedelta, passed: timedelta, lifetime: timedelta | None
) -> None:
    began = NOW - passed
    until = deadline_of(NOW, patience, began, lifetime)
    if until is not None:
        assert NOW < until <= NOW + patience
        assert lifetime is None or until <= began + lifetime * 0.81
    else:
        assert patience < timedelta(seconds=1) or (
            lifetime is not None and began + lifetime * 0.8 - timedelta(seconds=1) < NOW
        )


@pytest.mark.parametrize(
    ("status", "surface", "by", "told"),
    [
        ("decided", "rest", "anna", "denied by anna over rest at 2026-11-23 12:00 UTC: too dear"),
        ("expired", "clock", "", "nobody decided by 2026-11-23 12:00 UTC"),
        ("cancelled", "cli", "ben", "the approval was withdrawn by ben at 2026-11-23 12:00 UTC: too dear"),
    ],
)
def test_a_no_says_who_and_when(status: str, surface: str, by: str, told: str) -> None:
    decision = Decision(
        approval_id="a",
        status=ApprovalStatus(status),
        option="deny",
        approved=False,
        by=by,
        surface=Surface(surface),
        note="too\ndear",
        decided_at=NOW.astimezone(),
    )
    seen = agreed(decision)
    assert (seen.yes, seen.why) == (False, told)


@pytest.mark.parametrize(
    ("usd", "told"),
    [
        (0.0, "$0.00"),
        (0.03, "$0.03"),
        (12.3456, "$12.35"),
        (0.0034, "$0.0034"),
        (2e-9, "less than $0.000001"),
    ],
)
def test_money_as_people_read_it(usd: float, told: str) -> None:
    assert money(usd) == told


def test_a_rung_of_the_house_does_not_leave_it_by_another_member_of_its_pool() -> None:
    """Somebody has to agree to that, and nobody has been asked."""
    for policy, rung, stays in (
        (TurnPolicy(), REASONER, False),
        (ASK, REASONER, True),
        (TurnPolicy(local_only=True), STANDBY, True),
    ):
        begun = turn(plan(3, answer=(rung,), policy=policy))
        decision = decide(begun.plan, begin(begun.plan), Sight())
        assert isinstance(decision, Ask)
        assert step_for(begun, decision, (), ()).local_only is stays


def test_what_was_barred_before_a_person_answered_decides_anew() -> None:
    soon, late = (Barred(backend=str(s), why="open", retry_in_s=s) for s in (3.0, 300.0))
    sight = Sight(barred=(soon, late))
    assert sight_after_asking(sight, 60.0).barred == (late,)
    assert sight_after_asking(sight, 0.0) == sight
