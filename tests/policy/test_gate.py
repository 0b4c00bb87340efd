"""The questions before each rung, each seen from a whole climb."""

from dataclasses import replace

import pytest

from activities.contracts.policy import ApproveCloud, Barred, Caps, Spending, TurnPolicy
from tests.policy.climbing import CLAUDE, DEEPSEEK, STANDBY, plan, walk
from workflows.policy.climb import Answered, Ask, Fail, Failed, Pulled, Sight, Skip, SkipCode
from workflows.policy.ladder import begin, decide

DOWN = Failed(code="backend_unavailable")


def test_local_only_passes_the_cloud_over_and_says_so() -> None:
    walked = walk(
        plan(7, policy=TurnPolicy(local_only=True)),
        {"orchestrator": [Pulled(), Answered()], "reasoner": DOWN, "swap": DOWN},
    )
    skips = {each.rung.name: each.code for each in walked.decisions if isinstance(each, Skip)}
    assert skips == {"deepseek": SkipCode.LOCAL_ONLY, "claude": SkipCode.LOCAL_ONLY}


def test_nothing_is_offered_that_policy_would_refuse() -> None:
    only_cloud = plan(8, reason=(DEEPSEEK, CLAUDE), policy=TurnPolicy(local_only=True))
    first = decide(only_cloud, begin(only_cloud), Sight())
    assert isinstance(first, Ask)
    assert not first.offer_reason


def test_allow_lists_bound_whom_a_turn_may_ask() -> None:
    policy = TurnPolicy(allowed_backends=("standby", "reasoner"), allowed_models=("standby-model",))
    walked = walk(plan(3, policy=policy), {})
    assert walked.told == ["skip orchestrator", "ask standby", "finish standby"]
    nothing = walk(plan(3, policy=TurnPolicy(allowed_models=())), {})
    assert isinstance(nothing.end, Fail)
    assert nothing.end.code == SkipCode.NOT_ALLOWED


def test_a_rung_that_does_not_fit_the_money_is_skipped() -> None:
    sight = Sight(prompt_tokens=1000, answer_tokens=1000, spending=Spending(turn_spent=95_000_000))
    walked = walk(
        plan(3, answer=(CLAUDE, STANDBY), policy=TurnPolicy(caps=Caps(turn_usd=0.1))), {}, sight=sight
    )
    assert walked.told == ["skip claude", "ask standby", "finish standby"]
    skip = walked.decisions[0]
    assert isinstance(skip, Skip)
    assert skip.code is SkipCode.OVER_BUDGET


def test_a_cloud_rung_without_a_price_is_not_asked_under_a_cap() -> None:
    capped = plan(3, answer=(CLAUDE,), policy=TurnPolicy(caps=Caps(tenant_day_usd=5)))
    free = replace(capped, terms=tuple(replace(each, price=None) for each in capped.terms))
    assert isinstance(walk(free, {}).end, Fail)


def test_someone_is_asked_to_agree_and_a_no_is_a_recorded_hop() -> None:
    policy = TurnPolicy(approve_cloud=ApproveCloud.ASK)
    answer = (CLAUDE, STANDBY)
    assert walk(plan(3, answer=answer, policy=policy), {}).told == [
        "seekagreement claude",
        "ask claude",
        "finish claude",
    ]
    refused = walk(plan(3, answer=answer, policy=policy), {}, agree=False)
    assert refused.told == ["seekagreement claude", "skip claude", "ask standby", "finish standby"]
    skip = refused.decisions[1]
    assert isinstance(skip, Skip)
    assert (skip.code, skip.why) == (SkipCode.NOT_AGREED, "nobody agreed")


def test_nobody_is_bothered_for_a_rung_that_could_not_be_asked() -> None:
    sight = Sight(barred=(Barred(backend="claude", why="open", retry_in_s=99),))
    walked = walk(
        plan(3, answer=(CLAUDE, STANDBY), policy=TurnPolicy(approve_cloud=ApproveCloud.ASK)), {}, sight=sight
    )
    assert walked.told[0] == "skip claude"


@pytest.mark.parametrize(
    ("code", "again"), [("breaker_open", 9.0), ("backend_unavailable", 9.0), ("card_asleep", None)]
)
def test_a_pool_with_nobody_up_is_passed_over_by_why_it_is(code: str, again: float | None) -> None:
    """A card sleeps until somebody wakes it: no turn waits for that."""
    sight = Sight(barred=(Barred(backend="orchestrator", why="so it is", retry_in_s=9.0, code=code),))
    first = walk(plan(3), {}, sight=sight).decisions[0]
    assert isinstance(first, Skip)
    assert (first.code, first.why, first.again_in_s) == (code, "so it is", again)


def test_an_expensive_call_needs_agreement() -> None:
    policy = TurnPolicy(approve_above_usd=0.001)
    sight = Sight(prompt_tokens=1000, answer_tokens=1000)
    assert walk(plan(3, answer=(CLAUDE,), policy=policy), {}, sight=sight).told[0] == "seekagreement claude"
    assert walk(plan(3, policy=policy), {}, sight=sight).told[0] == "ask orchestrator"


def test_a_window_that_is_too_small_is_skipped_not_tried() -> None:
    walked = walk(plan(3, windows={"orchestrator": 4096}), {}, sight=Sight(prompt_tokens=4090))
    assert walked.told == ["skip orchestrator", "ask standby", "finish standby"]


def test_a_prompt_that_outgrew_one_window_is_not_tried_on_as_small_a_one() -> None:
    windows = {"orchestrator": 4096, "standby": 4096, "reasoner": 131_072}
    walked = walk(plan(7, windows=windows), {"orchestrator": Failed(code="context_too_long")})
    assert walked.told == ["ask orchestrator", "skip standby", "ask reasoner", "finish reasoner"]
