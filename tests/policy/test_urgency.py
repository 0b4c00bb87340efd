"""How urgently a call waits: by what it is for, and ever more so, until its patience is over."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.urgency import Urgency
from tests.policy.climbing import ORCHESTRATOR, REASONER, TurnPolicy, plan, walk
from workflows.policy.climb import Ask, Compose, Failed, Pulled
from workflows.policy.urgency import Stage, aged, stages, urgency_of

MILLISECOND = timedelta(milliseconds=1)
PRIORITIES = st.integers(1, 5)
LENGTHS = st.integers(1, 10_000_000).map(lambda ms: ms * MILLISECOND)


@given(priority=PRIORITIES, patience=LENGTHS, aging=LENGTHS)
def test_a_wait_is_spent_to_the_end_and_only_ever_becomes_more_urgent(
    priority: int, patience: timedelta, aging: timedelta
) -> None:
    waits = stages(priority, patience, aging)
    assert sum((stage.wait for stage in waits), timedelta()) == patience
    assert waits[0].priority == priority
    assert all(after.priority == before.priority - 1 for before, after in pairwise(waits))
    assert waits[-1].priority >= Urgency.INTERACTIVE
    assert all(stage.wait > timedelta() for stage in waits), "no time-out means for ever, to Temporal"
    assert all(stage.wait == aging for stage in waits[:-1])
    assert waits[-1].wait <= aging or waits[-1].priority == Urgency.INTERACTIVE


@given(priority=PRIORITIES, patience=LENGTHS)
def test_without_aging_a_wait_is_one(priority: int, patience: timedelta) -> None:
    for aging in (None, timedelta()):
        assert stages(priority, patience, aging) == (Stage(priority=priority, wait=patience),)


@given(patience=LENGTHS, aging=LENGTHS)
def test_the_most_urgent_wait_once(patience: timedelta, aging: timedelta) -> None:
    assert len(stages(Urgency.INTERACTIVE, patience, aging)) == 1


def test_a_wait_tells_how_it_aged() -> None:
    minute = timedelta(minutes=1)
    assert aged(stages(5, 3 * minute, minute)) == "it aged from priority 5 to 3"
    assert aged(stages(5, minute, minute)) == ""


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        (Urgency.INTERACTIVE, [1, 2, 2]),
        (Urgency.ESCALATION, [2, 2, 2]),
        (Urgency.AGENT, [3, 3, 3]),
        (Urgency.BACKGROUND, [5, 5, 5]),
    ],
)
def test_what_a_turn_hands_on_waits_behind_those_whom_nobody_has_answered(
    priority: int, expected: list[int]
) -> None:
    """The answer rung, the reasoner, and the composition: never more urgent than the turn itself."""
    of = plan(8, answer=(ORCHESTRATOR,), reason=(REASONER,), policy=TurnPolicy(compose=True))
    walked = walk(of, {"orchestrator": Pulled()})
    asked = [each for each in walked.decisions if isinstance(each, Ask | Compose)]
    assert [type(each) for each in asked] == [Ask, Ask, Compose]
    assert [urgency_of(priority, each) for each in asked] == expected


def test_a_turn_that_comes_back_from_the_reason_chain_is_as_urgent_as_before() -> None:
    of = plan(8, answer=(ORCHESTRATOR,), reason=(REASONER,))
    walked = walk(of, {"orchestrator": Pulled(), "reasoner": Failed(code="backend_timed_out")})
    asked = [each for each in walked.decisions if isinstance(each, Ask)]
    assert [(each.rung.name, urgency_of(1, each)) for each in asked][:3] == [
        ("orchestrator", 1),
        ("reasoner", 2),
        ("orchestrator", 1),
    ]
