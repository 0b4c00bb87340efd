"""Whoever speaks last, nothing is allowed that anybody before has forbidden."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.contracts.policy import ApproveCloud, Bounds, TurnPolicy
from api.openai_compat.extension import PolicyExtension
from api.policies import PolicyBody
from workflows.policy.combine import bounds_of, combine

USD = st.none() | st.floats(min_value=0, max_value=1e6, allow_nan=False)
FLAG = st.none() | st.booleans()
NAMES = st.none() | st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=4, unique=True).map(tuple)
BOUNDS = st.builds(
    Bounds,
    local_only=FLAG,
    max_usd=USD,
    max_usd_day=USD,
    max_usd_month=USD,
    allowed_models=NAMES,
    allowed_backends=NAMES,
    approve_cloud=st.none() | st.sampled_from(ApproveCloud),
    approve_above_usd=USD,
    compose=FLAG,
)
POLICIES = BOUNDS.map(lambda bounds: combine(TurnPolicy(), bounds))


def within(one: float | None, bound: float | None) -> bool:
    return bound is None or (one is not None and one <= bound)


def part(one: tuple[str, ...] | None, bound: tuple[str, ...] | None) -> bool:
    return bound is None or (one is not None and set(one) <= set(bound))


def stricter(one: ApproveCloud | bool, other: ApproveCloud | bool) -> bool:
    """At least as strict."""
    order = ["never", "ask", "always"]
    return order.index(str(one)) >= order.index(str(other))


def no_more_than(policy: TurnPolicy, said: Bounds) -> bool:
    caps = policy.caps
    return (
        (policy.local_only or not said.local_only)
        and (said.approve_cloud is None or stricter(policy.approve_cloud, said.approve_cloud))
        and within(caps.turn_usd, said.max_usd)
        and within(caps.tenant_day_usd, said.max_usd_day)
        and within(caps.tenant_month_usd, said.max_usd_month)
        and within(policy.approve_above_usd, said.approve_above_usd)
        and part(policy.allowed_models, said.allowed_models)
        and part(policy.allowed_backends, said.allowed_backends)
    )


@given(POLICIES, st.lists(BOUNDS, max_size=4))
def test_the_merge_grants_no_more_than_any_of_its_parts(start: TurnPolicy, said: list[Bounds]) -> None:
    merged = combine(start, *said)
    assert all(no_more_than(merged, each) for each in (bounds_of(start), *said))


@given(POLICIES, st.lists(BOUNDS, max_size=4))
def test_the_merge_takes_nothing_that_nobody_has_forbidden(start: TurnPolicy, said: list[Bounds]) -> None:
    merged, everybody = combine(start, *said), [bounds_of(start), *said]
    assert merged.local_only == any(each.local_only for each in everybody)
    assert merged.approve_cloud in {each.approve_cloud for each in everybody}
    assert merged.caps.turn_usd in [each.max_usd for each in everybody]
    for name in "abcd":
        kept = merged.allowed_models is None or name in merged.allowed_models
        assert kept == all(each.allowed_models is None or name in each.allowed_models for each in everybody)


@given(POLICIES, BOUNDS, BOUNDS)
def test_authority_does_not_depend_on_who_speaks_first(start: TurnPolicy, one: Bounds, other: Bounds) -> None:
    forth, back = combine(start, one, other), combine(start, other, one)
    assert no_more_than(forth, bounds_of(back))
    assert no_more_than(back, bounds_of(forth))


@given(POLICIES)
def test_a_policy_survives_being_stored(policy: TurnPolicy) -> None:
    assert combine(TurnPolicy(), bounds_of(policy)) == policy


def test_a_request_cannot_lift_its_tenants_bounds() -> None:
    tenant = Bounds(local_only=True, max_usd_day=5, allowed_models=("a",))
    wish = Bounds(local_only=False, max_usd_day=500, allowed_models=("a", "b"))
    merged = combine(TurnPolicy(), tenant, wish)
    assert (merged.local_only, merged.caps.tenant_day_usd, merged.allowed_models) == (True, 5, ("a",))


def test_what_was_written_before_is_understood() -> None:
    """True and false stand in rows, files, requests, and in the histories of turns that are running."""
    for was, now in ((True, ApproveCloud.ASK), (False, ApproveCloud.NEVER)):
        raw = msgspec.json.encode({"approve_cloud": was})
        assert msgspec.json.decode(raw, type=TurnPolicy).approve_cloud is now
        assert msgspec.json.decode(raw, type=Bounds).approve_cloud is now
        assert msgspec.convert({"approve_cloud": was}, Bounds).approve_cloud is now
        assert PolicyBody.model_validate_json(raw).bounds().approve_cloud is now
        assert msgspec.json.decode(raw, type=PolicyExtension).bounds().approve_cloud is now
        assert combine(TurnPolicy(), Bounds(approve_cloud=was)) == TurnPolicy(approve_cloud=now)
    for now in ApproveCloud:
        raw = msgspec.json.encode(Bounds(approve_cloud=now))
        assert msgspec.json.decode(raw, type=Bounds).approve_cloud is now
        assert PolicyBody.model_validate_json(raw).bounds().approve_cloud is now
    assert msgspec.json.decode(b"{}", type=Bounds).approve_cloud is None


@pytest.mark.parametrize("said", ["yes", "", 1, "true", []])
def test_anything_else_is_refused(said: object) -> None:
    raw = msgspec.json.encode({"approve_cloud": said})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=PolicyExtension)
    with pytest.raises(ValidationError, match="approve_cloud"):
        PolicyBody.model_validate_json(raw)


def test_whether_to_compose_is_the_last_speakers_choice() -> None:
    assert combine(TurnPolicy(compose=True), Bounds(compose=False)).compose is False
    assert combine(TurnPolicy(), Bounds(compose=True), Bounds()).compose is True
