"""When nothing else is left: what is waited for, how long, and how often."""

from datetime import timedelta

import pytest

from activities.contracts.policy import Barred, RepeatRules
from tests.policy.climbing import ORCHESTRATOR, REASONER, plan, rung, walk
from workflows.policy.climb import Answered, Ask, Fail, Failed, Finish, Pause, Pulled, Seen, Sight, Skip
from workflows.policy.ladder import begin, decide
from workflows.policy.seen import observe

DOWN = Failed(code="backend_unavailable")
REJECTED = Failed(code="backend_rejected")
LASTING_DOWN = Failed(code="backend_timed_out")


def test_the_last_rung_is_tried_again_a_bounded_number_of_times() -> None:
    rules = RepeatRules(times=3, first=timedelta(seconds=1), longest=timedelta(seconds=4))
    walked = walk(plan(2, answer=(ORCHESTRATOR,), repeats=rules), {"orchestrator": DOWN})
    assert [each.seconds for each in walked.decisions if isinstance(each, Pause)] == [1, 2, 4]
    assert len(walked.asked) == 4
    mends = walk(plan(2, answer=(ORCHESTRATOR,), repeats=rules), {"orchestrator": [DOWN, DOWN, Answered()]})
    assert isinstance(mends.end, Finish)


def test_a_backends_own_word_on_waiting_is_kept_or_not_waited_for() -> None:
    def limited(seconds: float) -> Failed:
        return Failed(code="backend_rate_limited", retry_after_s=seconds)

    walked = walk(plan(2), {"orchestrator": [limited(3), Answered()], "standby": limited(60)})
    assert [(each.rung.name, each.seconds) for each in walked.decisions if isinstance(each, Pause)] == [
        ("orchestrator", 3)
    ]
    assert isinstance(walked.end, Finish)


@pytest.mark.parametrize(
    "code", ["backend_timed_out", "backend_rejected", "model_missing", "backend_refused_key"]
)
def test_what_repeating_cannot_mend_is_not_repeated(code: str) -> None:
    walked = walk(plan(2, answer=(ORCHESTRATOR,)), {"orchestrator": Failed(code=code)})
    assert walked.asked == ["orchestrator"]
    assert isinstance(walked.end, Fail)
    assert walked.end.code == code


def test_a_rung_whose_model_has_rejected_the_request_elsewhere_is_not_waited_for() -> None:
    twin = rung("twin", model=ORCHESTRATOR.model)
    walked = walk(plan(2, answer=(ORCHESTRATOR, twin)), {"orchestrator": DOWN, "twin": REJECTED})
    assert walked.asked == ["orchestrator", "twin"]
    assert not [each for each in walked.decisions if isinstance(each, Pause)]


def test_a_repeated_reasoner_does_not_lead_through_the_answer_chain_again() -> None:
    of = plan(7, reason=(REASONER,), repeats=RepeatRules(times=1))
    told: dict[str, Seen | list[Seen]] = {"standby": LASTING_DOWN, "reasoner": DOWN}
    told["orchestrator"] = [Pulled(), LASTING_DOWN]
    assert walk(of, told).asked == ["orchestrator", "reasoner", "orchestrator", "standby", "reasoner"]


def test_an_open_breaker_of_the_only_rung_is_waited_for() -> None:
    of = plan(2, answer=(ORCHESTRATOR,))
    shut = Sight(barred=(Barred(backend="orchestrator", why="open", retry_in_s=1.5),))
    climb = begin(of)
    skip = decide(of, climb, shut)
    assert isinstance(skip, Skip)
    climb = observe(of, climb, skip)
    pause = decide(of, climb, shut)
    assert isinstance(pause, Pause)
    assert pause.seconds == 1.5
    assert isinstance(decide(of, observe(of, climb, pause), Sight()), Ask)
