"""A turn that may not leave the building does not: nobody outside so much as sees a connection."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.contracts.chat import Sampling
from activities.contracts.policy import TurnPolicy
from tests.ladder.seats import CONTINUES, PRICE, Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

REPLIES = {
    "well": Reply(),
    "down": Reply(status=503),
    "limited": Reply(status=429),
    "rejecting": Reply(status=400),
    "empty": Reply(text=""),
    "cut": Reply(text="some words", fault=Fault.CUT, fault_after=1),
    "short": Reply(text="some words", finish_reason="length"),
    "pulling": Reply(tool_calls=(("reason", '{"question": "why?"}'),)),
}
behaviours = st.lists(st.sampled_from(sorted(REPLIES)), min_size=0, max_size=3)


@pytest.fixture(scope="module")
async def outside() -> AsyncIterator[StandIn]:
    async with StandIn() as standin:
        yield standin


@pytest.fixture(scope="module")
async def inside() -> AsyncIterator[StandIn]:
    async with StandIn() as standin:
        yield standin


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[bool], list[bool]]:
    """Which rungs of the two chains are outside."""
    return draw(st.lists(st.booleans(), min_size=1, max_size=3)), draw(st.lists(st.booleans(), max_size=3))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=shapes(),
    behaviour=behaviours,
    effort=st.integers(1, 10),
    compose=st.booleans(),
    as_json=st.booleans(),
)
async def test_no_ladder_shape_and_no_failure_lets_a_private_turn_out(
    ground: Ground,
    inside: StandIn,
    outside: StandIn,
    shape: tuple[list[bool], list[bool]],
    behaviour: list[str],
    effort: int,
    compose: bool,
    as_json: bool,
) -> None:
    answer, reason = (
        [
            Seat(
                name=f"{chain}-{place}",
                standin=outside if cloud else inside,
                cloud=cloud,
                capabilities=CONTINUES,
                price=PRICE if cloud else None,
            )
            for place, cloud in enumerate(clouds)
        ]
        for chain, clouds in zip(("answer", "reason"), shape, strict=True)
    )
    inside.script(*(REPLIES[name] for name in behaviour))
    before = inside.total
    policy = TurnPolicy(local_only=True, compose=compose)
    sampling = Sampling(response_format={"type": "json_object"} if as_json else None)
    async with ground.house(laid_out(answer, reason)) as house:
        told = await house.ask("a private matter", effort=effort, policy=policy, sampling=sampling)
    inside._script.clear()
    assert outside.connections == 0
    assert told.status in {"completed", "failed"}
    assert all(hop["locality"] == "local" or hop["outcome"] == "skipped" for hop in told.view["route"])
    if told.status == "completed":
        assert told.text == told.answer
    if all(shape[0]) and not behaviour:
        assert inside.total == before or not all(shape[1])


async def test_the_same_ladder_goes_out_where_it_may(ground: Ground, outside: StandIn) -> None:
    async with (
        StandIn() as elsewhere,
        ground.house(laid_out([Seat(name="cloud", standin=elsewhere, cloud=True)])) as house,
    ):
        assert (await house.ask("no secret")).route == ["cloud answered"]
        told = await house.ask("a private matter", policy=TurnPolicy(local_only=True))
        assert told.error == "local_only"
        assert elsewhere.total == 1
