"""A pool of two: when one fails by its own fault, the other goes on, and the rung is not left."""

from dataclasses import replace

import pytest

from activities.contracts.backends import Ladder
from activities.contracts.policy import RepeatRules
from activities.contracts.topology import Topology
from tests.ladder.seats import CONTINUES, Seat, laid_out
from tests.support.house import Ground, House
from tests.support.standin import Fault, Reply, StandIn
from workflows.policy.models import ladder_for

TEXT = "one two three four five six seven eight"
BREAKS_OFF = Reply(text=TEXT, fault=Fault.CUT, fault_after=3)


def paired(*seats: Seat) -> Topology:
    """One rung, in whose pool all these seats stand."""
    topology = laid_out([replace(seat, model="twin") for seat in seats])
    (ladder,) = topology.ladders
    rung = ladder.answer[0]
    members = tuple(replace(backend, pool=rung.pool) for backend in topology.backends)
    return replace(topology, backends=members, ladders=(Ladder(name="auto", answer=(rung,)),))


@pytest.fixture
def topology(primary: StandIn, fallback: StandIn) -> Topology:
    return paired(
        # The one with more room is asked first.
        Seat(name="left", standin=primary, capabilities=CONTINUES, slots=4),
        Seat(name="right", standin=fallback, capabilities=CONTINUES, slots=2),
    )


async def test_the_other_member_goes_on_where_one_broke_off(
    ground: Ground, topology: Topology, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = BREAKS_OFF
    fallback.default = Reply(text=TEXT)
    async with ground.house(topology) as house:
        told = await house.ask("count")
    assert told.text == told.answer == TEXT
    first, second = told.view["route"]
    assert (first["backend"], first["outcome"]) == ("left", "failed")
    assert (second["backend"], second["outcome"]) == ("right", "answered")
    assert first["rung"] == second["rung"] == "left"
    (call,) = fallback.calls
    assert call.body["messages"][-1] == {"role": "assistant", "content": "one two three"}


async def test_a_rung_whose_members_have_all_failed_is_left(
    ground: Ground, topology: Topology, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = fallback.default = BREAKS_OFF
    rules = RepeatRules(times=0)
    async with ground.house(replace(topology, repeats=rules)) as house:
        told = await house.ask("count")
    assert told.status == "failed"
    assert [hop["backend"] for hop in told.view["route"]] == ["left", "right"]
    assert (primary.total, fallback.total) == (1, 1)


async def test_a_member_that_refuses_is_gone_around(
    ground: Ground, topology: Topology, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = Reply(status=503)
    fallback.default = Reply(text=TEXT)
    async with ground.house(topology) as house:
        for _ in range(4):
            told = await house.ask("count")
            assert told.status == "completed"
            assert told.text == told.answer == TEXT
            route = told.view["route"]
            # Once its breaker is open, the first one is not asked any more.
            assert [hop["backend"] for hop in route] in (["right"], ["left", "right"])
            assert {hop["rung"] for hop in route} == {"left"}


async def test_a_rejection_is_not_taken_to_another_member(
    ground: Ground, topology: Topology, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = fallback.default = Reply(status=400, error="no")
    async with ground.house(topology) as house:
        told = await house.ask("count")
    assert told.error == "backend_rejected"
    assert primary.total + fallback.total == 1


@pytest.mark.parametrize(("name", "alone"), [("right", True), ("twin", False)])
async def test_a_backend_that_is_asked_for_by_name_has_no_stand_in(
    ground: Ground, topology: Topology, primary: StandIn, fallback: StandIn, name: str, alone: bool
) -> None:
    fallback.default = Reply(status=401)
    async with ground.house(topology) as house:
        pinned = as_pinned(house, name)
        outcomes = {(await pinned.ask(f"ask {n}")).status for n in range(3)}
    if alone:
        assert outcomes == {"failed"}
        assert primary.total == 0
    else:
        assert outcomes == {"completed"}


def as_pinned(house: House, name: str) -> House:
    """The house for turns that are pinned to this name."""
    ladder = ladder_for(house.topology, name)
    assert ladder is not None
    return replace(house, topology=replace(house.topology, ladders=(ladder,)))
