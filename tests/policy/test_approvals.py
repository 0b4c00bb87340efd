"""Approvals, purely: what is due when, what is agreed, what a grant covers, what shape arguments have."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.approval_checks import mistakes
from activities.contracts.approvals import (
    ApprovalAsk,
    ApprovalClock,
    ApprovalKind,
    ApprovalStatus,
    Deciders,
    Escalation,
    Grant,
    News,
    Scope,
    Surface,
    Urgency,
    Vote,
)
from workflows.policy.approvals import (
    agreed,
    approval_id,
    covers,
    due,
    fingerprint,
    may_decide,
    narrowest,
    planned,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXAMPLES = settings(max_examples=60)
offsets = st.lists(st.integers(1, 100), max_size=5).map(sorted)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def clock(escalations: list[int], reminders: list[int], stage: int = 0, reminded: int = 0) -> ApprovalClock:
    return ApprovalClock(
        status=ApprovalStatus.OPEN,
        deadline=at(120),
        escalations=tuple(map(at, escalations)),
        reminders=tuple(map(at, reminders)),
        stage=stage,
        reminded=reminded,
    )


@EXAMPLES
@given(offsets, offsets, st.lists(st.integers(0, 130), min_size=1, max_size=8).map(sorted))
def test_everything_comes_once_whenever_somebody_looks(
    escalations: list[int], reminders: list[int], looks: list[int]
) -> None:
    seen = clock(escalations, reminders)
    for minute in looks:
        found = due(seen, at(minute))
        again = clock(escalations, reminders, found.stage, found.reminded)
        assert due(again, at(minute)).news == (), "what has come does not come again"
        assert (News.ESCALATED in found.news) == (found.stage > seen.stage)
        assert (News.REMINDED in found.news) == (found.reminded > seen.reminded)
        if minute < 120:
            assert found.stage == sum(each <= minute for each in escalations)
            assert found.reminded == sum(each <= minute for each in reminders)
        else:
            assert not found.news, "after the deadline there is nothing to remind of"
        seen = again


@EXAMPLES
@given(offsets, offsets, st.integers(0, 119))
def test_whoever_sleeps_until_then_misses_nothing(
    escalations: list[int], reminders: list[int], minute: int
) -> None:
    now = due(clock(escalations, reminders), at(minute))
    then = clock(escalations, reminders, now.stage, now.reminded)
    assert at(minute) < now.wake_at <= at(120)
    just_before = now.wake_at - timedelta(microseconds=1)
    assert due(then, just_before).news == ()
    assert now.wake_at == at(120) or due(then, now.wake_at).news


@EXAMPLES
@given(st.sampled_from(Urgency), st.integers(1, 60 * 24 * 30))
def test_what_an_ask_leaves_open_is_settled_within_its_time(urgency: Urgency, minutes: int) -> None:
    said = planned(ApprovalAsk(tenant_id="t", id="a", title="t", urgency=urgency, deadline=at(minutes)), NOW)
    assert said.deadline == at(minutes)
    assert said.reminders is not None
    assert all(timedelta(minutes=1) <= each < timedelta(minutes=minutes) for each in said.reminders)
    assert said.deciders.roles == ("operator",)
    assert planned(said, NOW) == said
    assert list(mistakes(said, NOW)) == []


def test_louder_asks_are_reminded_of_more_often() -> None:
    counts = [
        len(planned(ApprovalAsk(tenant_id="t", id="a", title="t", urgency=each), NOW).reminders or ())
        for each in Urgency
    ]
    assert counts == sorted(counts)
    assert counts[0] >= 1


votes = st.lists(
    st.builds(
        Vote,
        by=st.sampled_from("abcd"),
        option=st.sampled_from(("x", "y")),
        scope=st.sampled_from(Scope),
        surface=st.just(Surface.REST),
        note=st.just(""),
        at=st.just(NOW),
    ),
    max_size=6,
    unique_by=lambda vote: vote.by,
)


@EXAMPLES
@given(votes, st.integers(1, 4))
def test_an_option_is_agreed_on_by_so_many_and_no_further_than_each_of_them(
    said: list[Vote], quorum: int
) -> None:
    outcome = agreed(said, quorum)
    for_it = [vote for vote in said if outcome and vote.option == outcome[0]]
    if outcome is None:
        assert all(sum(vote.option == option for vote in said) < quorum for option in "xy")
    else:
        assert len(for_it) >= quorum
        assert outcome[1] is narrowest([vote.scope for vote in for_it])
        assert all(list(Scope).index(outcome[1]) <= list(Scope).index(vote.scope) for vote in for_it)


GRANT: dict[str, Any] = {
    "id": "g",
    "agent": "bot",
    "action": "deploy",
    "fingerprint": "f",
    "kind": ApprovalKind.TOOL,
    "conversation_id": "c",
    "approval_id": "a",
    "by": "anna",
    "option": "approve",
    "most_usd": 1.0,
    "leaves_building": False,
    "created_at": NOW,
    "expires_at": at(10),
}
ASK: dict[str, Any] = {
    "tenant_id": "t",
    "id": "b",
    "title": "t",
    "agent": "bot",
    "action": "deploy",
    "fingerprint": "f",
    "kind": ApprovalKind.TOOL,
    "conversation_id": "c",
    "cost_usd": 1.0,
}


def grant(**changed: Any) -> Grant:
    return Grant(**GRANT | changed)


def ask(**changed: Any) -> ApprovalAsk:
    return ApprovalAsk(**ASK | changed)


def test_a_grant_covers_what_is_alike_and_nothing_else() -> None:
    assert covers(grant(), ask(), NOW)
    assert covers(grant(conversation_id=None), ask(conversation_id="d"), NOW)
    unlike: list[dict[str, Any]] = [
        {"agent": "cat"},
        {"action": "eat"},
        {"fingerprint": "g"},
        {"kind": ApprovalKind.DEPLOY},
        {"conversation_id": "d"},
        {"conversation_id": None},
        {"cost_usd": 1.01},
        {"leaves_building": True},
        {"options": ()},
    ]
    for changed in unlike:
        assert not covers(grant(), ask(**changed), NOW), changed
    over: list[dict[str, Any]] = [{"revoked_at": NOW}, {"expires_at": NOW}, {"option": "deny"}]
    for changed in over:
        assert not covers(grant(**changed), ask(), NOW), changed
    nothing: dict[str, Any] = {"agent": "", "action": "", "fingerprint": ""}
    assert not covers(grant(**nothing), ask(**nothing), NOW)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@EXAMPLES
@given(st.dictionaries(st.text(max_size=2), values, max_size=3))
def test_a_fingerprint_is_of_names_and_types_alone(arguments: dict[str, Any]) -> None:
    def other(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: other(value[key]) for key in reversed(value)}
        if isinstance(value, list):
            return [other(each) for each in value] * 2
        if isinstance(value, bool):
            return not value
        return value + 1 if isinstance(value, int | float) else None if value is None else value + "!"

    assert fingerprint(arguments) == fingerprint(other(arguments))
    assert fingerprint(arguments) != fingerprint(arguments | {"one more": 1})
    assert fingerprint({"a": arguments}) != fingerprint({"a": "text"})


def test_an_id_follows_from_its_words() -> None:
    assert approval_id("a", "b") == approval_id("a", "b")
    assert len({approval_id("a", "b"), approval_id("ab"), approval_id("ab", ""), approval_id("b", "a")}) == 4
    assert not list(mistakes(ApprovalAsk(tenant_id="t", id=approval_id("a"), title="t"), NOW))


def test_who_may_decide_only_grows() -> None:
    then = (Escalation(after=timedelta(1), people=("ben",)), Escalation(after=timedelta(2), roles=("boss",)))
    deciders = Deciders(people=("anna",), then=then)
    assert [may_decide(deciders, stage, "anna", ()) for stage in range(3)] == [True] * 3
    assert [may_decide(deciders, stage, "ben", ()) for stage in range(3)] == [False, True, True]
    assert [may_decide(deciders, stage, "eve", ("boss",)) for stage in range(3)] == [False, False, True]
