"""When a box is rented, and when it goes: never both, never twice for the same queue, never for nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.burst import BurstRules, PoolPressure
from activities.contracts.lease_views import EndCode, LeaseView
from activities.contracts.leases import LeaseState, Purpose
from tests.policy.renting import NOON, lease
from workflows.policy.autoscale import clears_in, decide

RULES = BurstRules(pool="llm-reasoner", purpose=Purpose.REASONING, most=2)
FULL = PoolPressure(
    pool="llm-reasoner", slots=4, used=4, waiting=6, waited=timedelta(minutes=3), done_per_s=0.005
)


def ago(**span: float) -> object:
    return NOON - timedelta(**span)


SPANS = st.integers(0, 7200).map(lambda s: timedelta(seconds=s))
PRESSURES = st.none() | st.builds(
    PoolPressure,
    pool=st.just("llm-reasoner"),
    slots=st.integers(0, 6),
    used=st.integers(0, 8),
    waiting=st.integers(0, 20),
    waited=SPANS,
    done_per_s=st.sampled_from([0.0, 1e-12, 0.005, 0.5]),
)


def lease_at(state: LeaseState, since: timedelta, calls: int, ended: timedelta) -> LeaseView:
    return lease(
        state=state,
        state_at=NOON - since,
        served_at=NOON - since if state is LeaseState.SERVING else None,
        busy_at=None,
        calls=calls,
        ended_at=NOON - ended if state.ended else None,
    )


LEASES = st.lists(
    st.builds(lease_at, st.sampled_from(LeaseState), SPANS, st.sampled_from([0, 0, 2]), SPANS), max_size=4
).map(lambda leases: [replace(each, id=f"lease_{n}") for n, each in enumerate(leases)])


@given(PRESSURES, LEASES)
def test_whatever_the_pool_and_its_leases_are(pressure: PoolPressure | None, leases: list[LeaseView]) -> None:
    verdict = decide(RULES, pressure, leases)
    open_ones = [each for each in leases if not each.state.ended]
    assert not (verdict.rent and verdict.drain)
    if verdict.rent:
        assert pressure is not None and pressure.waiting > 0 and pressure.used >= pressure.slots
        assert pressure.waited >= RULES.threshold
        assert len(open_ones) < RULES.most
        assert all(each.state.may_have_a_box for each in open_ones)
        clears = clears_in(pressure)
        assert clears is None or clears > RULES.boots_in
    else:
        assert verdict.why
    by_id = {each.id: each for each in leases}
    for identifier in verdict.drain:
        drained = by_id[identifier]
        assert drained.state is LeaseState.SERVING and drained.calls == 0
        assert NOON - drained.state_at >= RULES.idle
    if pressure is not None and pressure.waiting:
        assert not verdict.drain


def test_a_full_pool_whose_work_has_waited_gets_a_box() -> None:
    assert decide(RULES, FULL, []).rent
    assert decide(RULES, replace(FULL, slots=0, used=0), []).rent, "nobody serves it at all"
    assert decide(RULES, FULL, [replace(lease(), pool="llm-swap"), lease("lease_2", pool="llm-swap")]).rent


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"waiting": 0}, "nothing waits"),
        ({"used": 3}, "free"),
        ({"waited": timedelta(seconds=119)}, "threshold"),
        ({"done_per_s": 6 / 480}, "clears"),
    ],
)
def test_each_reason_to_wait(changed: dict[str, float], why: str) -> None:
    verdict = decide(RULES, replace(FULL, **changed), [])
    assert not verdict.rent and why in verdict.why
    assert not decide(RULES, None, []).rent


@pytest.mark.parametrize(
    "state", [LeaseState.ASKED, LeaseState.RENTING, LeaseState.BOOTING, LeaseState.JOINING]
)
def test_a_box_on_its_way_is_waited_for(state: LeaseState) -> None:
    assert "on its way" in decide(RULES, FULL, [lease(state=state)]).why


def test_a_second_box_comes_only_after_the_first_has_served_for_a_while() -> None:
    new = lease(served_at=ago(minutes=4), calls=4)
    assert "begun" in decide(RULES, FULL, [new]).why
    old = lease(served_at=ago(minutes=6), calls=4)
    assert decide(RULES, FULL, [old]).rent
    assert "at most 2" in decide(RULES, FULL, [old, replace(old, id="lease_2")]).why
    leaving = lease("lease_2", LeaseState.DESTROYING)
    assert not decide(RULES, FULL, [old, leaving]).rent, "what is not gone yet bills"


def test_each_failure_in_a_row_makes_the_rest_longer() -> None:
    def ended(minutes: float, state: LeaseState) -> LeaseView:
        return lease(f"lease_{minutes:g}", state, ended_at=ago(minutes=minutes))

    gone, failed = LeaseState.GONE, LeaseState.FAILED
    assert not decide(RULES, FULL, [ended(4, gone)]).rent
    assert decide(RULES, FULL, [ended(6, gone)]).rent
    assert not decide(RULES, FULL, [ended(6, failed)]).rent
    assert decide(RULES, FULL, [ended(11, failed)]).rent
    assert not decide(RULES, FULL, [ended(11, failed), ended(30, failed)]).rent
    assert decide(RULES, FULL, [ended(11, failed), ended(30, gone), ended(31, failed)]).rent
    many = [ended(50 + each, failed) for each in range(40)]
    assert not decide(RULES, FULL, many).rent
    assert decide(RULES, FULL, [replace(each, ended_at=ago(minutes=61)) for each in many]).rent


def test_an_idle_box_goes_when_nothing_waits_and_also_when_nobody_can_tell() -> None:
    calm = replace(FULL, used=0, waiting=0)
    idle = lease(busy_at=ago(minutes=16))
    assert decide(RULES, calm, [idle]).drain == ("lease_1",)
    assert decide(RULES, None, [idle]).drain == ("lease_1",)
    assert decide(RULES, replace(calm, waiting=1), [idle]).drain == ()
    assert decide(RULES, calm, [replace(idle, busy_at=ago(minutes=14))]).drain == ()
    assert decide(RULES, calm, [replace(idle, calls=1)]).drain == ()
    assert decide(RULES, calm, [replace(idle, ending_code=EndCode.CANCELLED)]).drain == ()
