import inspect
from dataclasses import replace

import pytest

from activities import errors
from activities.contracts.backends import Ladder
from activities.contracts.policy import RepeatRules, TurnPolicy
from tests.policy.climbing import CLAUDE, ORCHESTRATOR, REASONER, plan, rung, walk
from workflows.policy.climb import (
    Answered,
    Ask,
    Compose,
    Fail,
    Failed,
    Finish,
    Pulled,
    Sight,
)
from workflows.policy.ladder import begin, decide
from workflows.policy.seen import observe

DOWN = Failed(code="backend_unavailable")
REJECTED = Failed(code="backend_rejected")
NO_REPEATS = RepeatRules(times=0)


def test_an_easy_turn_is_answered_by_the_first_rung_with_nothing_offered() -> None:
    walked = walk(plan(3), {})
    ask = walked.decisions[0]
    assert isinstance(ask, Ask)
    assert (ask.offer_reason, ask.mandatory, ask.final) == (False, False, True)
    assert walked.told == ["ask orchestrator", "finish orchestrator"]


def test_a_pull_climbs_the_reason_chain_in_order() -> None:
    walked = walk(plan(7), {"orchestrator": Pulled(), "reasoner": DOWN, "swap": DOWN})
    assert walked.told == [
        "ask orchestrator",
        "ask reasoner",
        "ask swap",
        "ask deepseek",
        "finish deepseek",
    ]
    first = walked.decisions[0]
    assert isinstance(first, Ask)
    assert (first.offer_reason, first.mandatory, first.final) == (True, False, True)


def test_an_offer_that_is_not_taken_ends_with_the_first_answer() -> None:
    assert walk(plan(8), {}).told == ["ask orchestrator", "finish orchestrator"]


def test_the_highest_efforts_consult_whatever_the_orchestrator_says() -> None:
    walked = walk(plan(9), {})
    assert walked.told == ["ask orchestrator", "ask reasoner", "finish reasoner"]
    first = walked.decisions[0]
    assert isinstance(first, Ask)
    assert (first.mandatory, first.final) == (True, False)


def test_a_consult_that_fails_leaves_the_orchestrators_own_answer() -> None:
    walked = walk(plan(9), dict.fromkeys(("reasoner", "swap", "deepseek", "claude"), DOWN))
    assert walked.asked == ["orchestrator", "reasoner", "swap", "deepseek", "claude"]
    assert isinstance(walked.end, Finish)
    assert (walked.end.rung, walked.end.answer_step) == ("orchestrator", 1)


def test_a_pull_that_nobody_can_serve_comes_back_to_the_orchestrator_without_the_offer() -> None:
    dead = dict.fromkeys(("reasoner", "swap", "deepseek", "claude"), DOWN)
    walked = walk(plan(7), {"orchestrator": [Pulled(), Answered()], **dead})
    assert walked.asked[-1] == "orchestrator"
    again = walked.decisions[-2]
    assert isinstance(again, Ask)
    assert not again.offer_reason
    assert isinstance(walked.end, Finish)


def test_an_unoffered_pull_is_a_malformed_answer() -> None:
    walked = walk(plan(3, repeats=NO_REPEATS), {"orchestrator": Pulled(), "standby": Pulled()})
    assert isinstance(walked.end, Fail)
    assert walked.end.code == "answer_malformed"


def test_a_rung_that_is_down_is_stood_in_for() -> None:
    assert walk(plan(2), {"orchestrator": DOWN}).asked == ["orchestrator", "standby"]


def test_a_low_effort_never_enters_the_reason_chain_for_want_of_an_answer_rung() -> None:
    walked = walk(plan(6, repeats=NO_REPEATS), {"orchestrator": DOWN, "standby": DOWN})
    assert walked.asked == ["orchestrator", "standby"]
    assert isinstance(walked.end, Fail)
    assert walked.end.code == "backend_unavailable"
    assert "orchestrator" in walked.end.why
    assert "standby" in walked.end.why


def test_a_high_effort_goes_on_to_the_reason_chain_when_no_answer_rung_is_left() -> None:
    walked = walk(plan(7), {"orchestrator": DOWN, "standby": DOWN})
    assert walked.asked == ["orchestrator", "standby", "reasoner"]
    assert isinstance(walked.end, Finish)


@pytest.mark.parametrize("flaw", ["cut", "empty"])
def test_the_supervisor_climbs_once(flaw: str) -> None:
    flawed = Answered(flaw=flaw, usable=flaw == "cut")
    walked = walk(plan(2), {"orchestrator": flawed, "reasoner": Answered(flaw="cut")})
    assert walked.asked == ["orchestrator", "reasoner"]
    assert isinstance(walked.end, Finish)
    assert walked.end.rung == "reasoner"
    asks = [each for each in walked.decisions if isinstance(each, Ask)]
    assert [each.climb_if_flawed for each in asks] == [True, False]


def test_a_flawed_consult_does_not_replace_a_sound_answer() -> None:
    reason = (REASONER,)
    walked = walk(plan(9, reason=reason), {"reasoner": Answered(flaw="cut")})
    assert isinstance(walked.end, Finish)
    assert walked.end.rung == "orchestrator"


def test_without_a_reason_chain_the_supervisor_climbs_to_the_next_rung() -> None:
    walked = walk(plan(2, reason=()), {"orchestrator": Answered(flaw="malformed", usable=False)})
    assert walked.asked == ["orchestrator", "standby"]


def test_an_empty_reasoner_is_a_failed_rung() -> None:
    empty = Answered(flaw="empty", usable=False)
    walked = walk(plan(7), {"orchestrator": Pulled(), "reasoner": empty, "swap": empty})
    assert walked.asked == ["orchestrator", "reasoner", "swap", "deepseek"]


def test_composition_is_done_by_the_rung_that_handed_on() -> None:
    composing = TurnPolicy(compose=True)
    walked = walk(plan(7, policy=composing), {"orchestrator": [Pulled(), Answered()]})
    assert walked.told == ["ask orchestrator", "ask reasoner", "compose orchestrator", "finish orchestrator"]
    assert not [
        each for each in walked.decisions if isinstance(each, Ask) and each.chain == "reason" and each.final
    ]
    compose = walked.decisions[2]
    assert isinstance(compose, Compose)
    assert compose.answer_step == 2


def test_a_failed_composition_lets_the_reasoners_answer_out() -> None:
    composing = TurnPolicy(compose=True)
    walked = walk(plan(7, policy=composing), {"orchestrator": [Pulled(), DOWN]})
    assert isinstance(walked.end, Finish)
    assert walked.end.rung == "reasoner"


def test_a_model_that_rejected_the_request_is_not_asked_under_another_name() -> None:
    twin = rung("twin", model=ORCHESTRATOR.model)
    walked = walk(plan(2, answer=(ORCHESTRATOR, twin)), {"orchestrator": REJECTED})
    assert walked.asked == ["orchestrator"]
    assert isinstance(walked.end, Fail)


def test_a_pinned_model_is_never_replaced() -> None:
    base = plan(10)
    alone = replace(base, ladder=Ladder(name="claude", answer=(CLAUDE,)))
    walked = walk(alone, {"claude": REJECTED})
    assert walked.asked == ["claude"]
    assert isinstance(walked.end, Fail)
    assert walked.end.code == "backend_rejected"
    first = walked.decisions[0]
    assert isinstance(first, Ask)
    assert not first.offer_reason


def test_the_codes_are_those_of_the_vocabulary() -> None:
    known = {
        each.code
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.AitherError)
    }
    used = {
        "backend_unavailable",
        "backend_rate_limited",
        "backend_rejected",
        "backend_refused_key",
        "context_too_long",
        "answer_malformed",
        "answer_empty",
    }
    assert used <= known


def test_plans_that_cannot_be_climbed_are_refused() -> None:
    with pytest.raises(ValueError, match="no answer rung"):
        begin(plan(answer=()))
    with pytest.raises(ValueError, match="twice"):
        begin(plan(answer=(ORCHESTRATOR, ORCHESTRATOR)))
    with pytest.raises(ValueError, match="no terms"):
        begin(replace(plan(), terms=()))
    of = plan()
    with pytest.raises(ValueError, match="cannot come to"):
        observe(of, begin(of), decide(of, begin(of), Sight()), None)
