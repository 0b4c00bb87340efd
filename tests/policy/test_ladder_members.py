"""A pool of several: what a member's own fault leads to, and what it does not."""

from dataclasses import replace

import pytest

from activities.contracts.policy import RepeatRules, TurnPolicy
from tests.ladder.seats import Seat, laid_out
from tests.policy.climbing import ORCHESTRATOR, REASONER, STANDBY, plan, walk
from tests.support.standin import StandIn
from workflows.policy.climb import Answered, Ask, Compose, Fail, Failed, Finish, Pause, Pulled, Seen
from workflows.policy.models import ladder_for
from workflows.policy.seen import MORE_TRIES

NO_REPEATS = RepeatRules(times=0)
OF_THE_MEMBER = (
    "backend_error",
    "backend_unavailable",
    "backend_timed_out",
    "backend_rate_limited",
    "backend_refused_key",
    "model_missing",
    "model_replaced",
)
NOT_OF_THE_MEMBER = (
    "backend_rejected",
    "context_too_long",
    "answer_empty",
    "answer_malformed",
    "no_room",
    "over_budget",
    "local_only",
    "breaker_open",
)


def failed(member: str, code: str = "backend_unavailable", *, elsewhere: bool = True) -> Failed:
    return Failed(code=code, why="broke", elsewhere=elsewhere, backend=member)


def avoided(of: list[Ask | Compose]) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.rung.name, each.avoid) for each in of]


@pytest.mark.parametrize("code", OF_THE_MEMBER)
def test_a_members_own_fault_is_made_good_by_another_member(code: str) -> None:
    walked = walk(plan(2), {"orchestrator": [failed("one", code), Answered()]})
    asked = [each for each in walked.decisions if isinstance(each, Ask)]
    assert avoided([*asked]) == [("orchestrator", ()), ("orchestrator", ("one",))]
    assert [each.step for each in asked] == [1, 2]
    assert isinstance(walked.end, Finish)
    assert walked.end.answer_step == 2
    assert "one failed" in asked[1].why


@pytest.mark.parametrize("code", NOT_OF_THE_MEMBER)
def test_what_the_request_or_the_model_brings_about_leads_on_at_once(code: str) -> None:
    walked = walk(plan(2, windows={"standby": 65_536}), {"orchestrator": failed("one", code)})
    assert walked.asked == ["orchestrator", "standby"]


def test_a_rung_is_left_after_a_bounded_number_of_members() -> None:
    tries: list[Seen] = [failed(f"member-{n}") for n in range(9)]
    walked = walk(plan(2, repeats=NO_REPEATS), {"orchestrator": tries})
    assert walked.asked == ["orchestrator"] * (1 + MORE_TRIES) + ["standby"]
    asked = [each for each in walked.decisions if isinstance(each, Ask)]
    assert asked[2].avoid == ("member-0", "member-1")
    assert asked[3].avoid == (), "the next rung's pool has members of its own"


def test_the_last_member_leads_on() -> None:
    tries: list[Seen] = [failed("one"), failed("two", elsewhere=False)]
    walked = walk(plan(2), {"orchestrator": tries})
    assert walked.asked == ["orchestrator", "orchestrator", "standby"]


def test_a_member_that_is_asked_again_although_it_is_to_be_avoided_ends_the_tries() -> None:
    walked = walk(plan(2), {"orchestrator": failed("one")})
    assert walked.asked == ["orchestrator", "orchestrator", "standby"]


def test_a_backend_that_was_asked_for_by_its_name_has_no_stand_in() -> None:
    exact = replace(ORCHESTRATOR, exact=True)
    walked = walk(plan(2, answer=(exact,), reason=(), repeats=NO_REPEATS), {"orchestrator": failed("one")})
    assert walked.asked == ["orchestrator"]
    assert isinstance(walked.end, Fail)


def test_the_story_of_a_failure_names_every_member() -> None:
    of = plan(2, answer=(ORCHESTRATOR,), reason=(), repeats=NO_REPEATS)
    walked = walk(of, {"orchestrator": [failed("one"), failed("two", "backend_timed_out", elsewhere=False)]})
    assert isinstance(walked.end, Fail)
    assert walked.end.code == "backend_timed_out"
    assert "one: broke" in walked.end.why


def test_a_member_that_may_come_back_is_waited_for_whatever_the_last_one_said() -> None:
    of = plan(2, answer=(ORCHESTRATOR,), reason=())
    limited = replace(failed("one", "backend_rate_limited"), retry_after_s=3.0)
    told: list[Seen] = [limited, failed("two", "backend_refused_key", elsewhere=False), Answered()]
    walked = walk(of, {"orchestrator": told})
    assert [each.seconds for each in walked.decisions if isinstance(each, Pause)] == [3.0]
    last = walked.decisions[-2]
    assert isinstance(last, Ask)
    assert last.avoid == (), "who was tried before the wait may be tried after it"
    assert isinstance(walked.end, Finish)


def test_nothing_is_waited_for_where_no_member_may_come_back() -> None:
    of = plan(2, answer=(ORCHESTRATOR,), reason=())
    told: list[Seen] = [failed("one", "model_missing"), failed("two", "backend_refused_key", elsewhere=False)]
    walked = walk(of, {"orchestrator": told})
    assert not [each for each in walked.decisions if isinstance(each, Pause)]


def test_a_reasoner_and_a_composition_fail_over_too() -> None:
    of = plan(8, answer=(ORCHESTRATOR,), reason=(REASONER,), policy=TurnPolicy(compose=True))
    told: dict[str, Seen | list[Seen]] = {
        "orchestrator": [Pulled(), failed("one"), Answered()],
        "reasoner": [failed("big"), Answered()],
    }
    walked = walk(of, told)
    asked = [each for each in walked.decisions if isinstance(each, Ask | Compose)]
    assert avoided(asked) == [
        ("orchestrator", ()),
        ("reasoner", ()),
        ("reasoner", ("big",)),
        ("orchestrator", ()),
        ("orchestrator", ("one",)),
    ]
    assert isinstance(asked[-1], Compose)
    assert isinstance(walked.end, Finish)
    assert walked.end.answer_step == asked[-1].step


def test_a_flaw_after_another_member_answered_leads_on_as_ever() -> None:
    told: dict[str, Seen | list[Seen]] = {"orchestrator": [failed("one"), Answered(flaw="cut")]}
    walked = walk(plan(2, answer=(ORCHESTRATOR, STANDBY), reason=()), told)
    asked = [each for each in walked.decisions if isinstance(each, Ask)]
    assert avoided([*asked]) == [("orchestrator", ()), ("orchestrator", ("one",)), ("standby", ())]


def test_only_a_name_of_its_own_pins_a_turn_to_one_member() -> None:
    nobody = StandIn()
    named = Seat(name="box", standin=nobody, model="llama")
    alike = Seat(name="qwen", standin=nobody, model="qwen")
    topology = laid_out([named, alike])
    for model, exact in (("box", True), ("llama", False), ("qwen", False)):
        ladder = ladder_for(topology, model)
        assert ladder is not None
        assert [each.exact for each in ladder.answer] == [exact], model
    assert not any(each.exact for each in topology.ladders[0].answer)
