"""Pools of several members, under load, as turns see them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from activities.contracts.topology import Topology
from tests.ladder.seats import CONTINUES, Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

TEXT = "one two three four five six seven"


def pooled(*seats: Seat) -> Topology:
    """One rung, named after the first seat, whose pool all of them share."""
    topology = laid_out([replace(seat, model="shared") for seat in seats])
    pool = topology.backends[0].queue
    ladder = topology.ladders[0]
    return replace(
        topology,
        backends=tuple(replace(each, pool=pool) for each in topology.backends),
        ladders=(replace(ladder, answer=ladder.answer[:1]),),
    )


async def test_every_member_works_and_none_has_more_calls_than_slots(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = fallback.default = Reply(text=TEXT, hold_after=1)
    topology = pooled(
        Seat(name="small", standin=primary, slots=1, patience_s=60),
        Seat(name="large", standin=fallback, slots=3, patience_s=60),
    )
    async with ground.house(topology, silence_s=60) as house:
        turns = [await house.begin(f"turn {n}") for n in range(40)]
        await primary.arrived(1, within_s=30)
        await fallback.arrived(3, within_s=30)
        primary.default = fallback.default = Reply(text=TEXT)
        primary.release()
        fallback.release()
        told = await asyncio.gather(*map(house.follow, turns))
    assert [each.answer for each in told] == [TEXT] * 40
    assert (primary.peak, fallback.peak) == (1, 3)
    assert primary.total + fallback.total == 40


async def test_the_route_names_the_member_that_answered(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    topology = pooled(Seat(name="one", standin=primary, slots=1), Seat(name="two", standin=fallback, slots=5))
    async with ground.house(topology) as house:
        told = await house.ask("who")
        rows = await house.rows("select route from aither.turns where tenant_id = $1")
    assert told.status == "completed"
    assert '"backend":"two"' in rows[0]["route"].replace(" ", "")


async def test_a_member_that_dies_in_mid_answer_is_gone_on_from_by_another(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    topology = pooled(
        Seat(name="dying", standin=primary, slots=5, capabilities=CONTINUES),
        Seat(name="well", standin=fallback, slots=1, capabilities=CONTINUES),
    )
    primary.default = Reply(text=TEXT, fault=Fault.RESET, fault_after=3)
    fallback.default = Reply(text=TEXT)
    async with ground.house(topology) as house:
        told = await house.ask("go on")
    assert told.text == told.answer == TEXT
    assert (primary.total, fallback.total) == (1, 1)
    assert fallback.calls[-1].body["messages"][-1] == {"role": "assistant", "content": "one two three"}


async def test_a_member_killed_under_load_costs_no_turn(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = fallback.default = Reply(text=TEXT, delay_s=0.05)
    topology = pooled(
        Seat(name="killed", standin=primary, slots=4, patience_s=60),
        Seat(name="left", standin=fallback, slots=2, patience_s=60),
    )
    async with ground.house(topology) as house:
        turns = [await house.begin(f"turn {n}") for n in range(30)]
        await primary.arrived(6, within_s=30)
        await primary.refuse()
        told = await asyncio.gather(*map(house.follow, turns))
        await primary.accept()
    assert [each.answer for each in told] == [TEXT] * 30
    assert fallback.peak <= 2


async def test_a_member_that_goes_and_one_that_comes_are_followed(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    topology = pooled(
        Seat(name="old", standin=primary, slots=1, patience_s=30),
        Seat(name="new", standin=fallback, slots=2, patience_s=30),
    )
    async with ground.house(topology) as house:
        desk = house.parts.desk
        (pool,) = desk.pools
        both = list(desk.pools[pool].members.values())
        desk.seat(pool, both[:1])
        assert desk.pools[pool].limit == 1
        primary.default = Reply(text=TEXT, hold_after=1)
        first = await house.begin("first")
        await primary.arrived()
        second = await house.begin("second")
        desk.seat(pool, both[1:])
        assert (await house.follow(second)).status == "completed"
        primary.release()
        assert (await house.follow(first)).answer == TEXT
        assert desk.pools[pool].limit == 2
    assert (primary.total, fallback.total) == (1, 1)


async def test_a_pinned_backend_is_not_replaced_by_another_of_its_pool(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    topology = pooled(
        Seat(name="wanted", standin=primary, slots=1, patience_s=30),
        Seat(name="other", standin=fallback, slots=9),
    )
    ladder = topology.ladders[0]
    exact = replace(ladder, answer=(replace(ladder.answer[0], exact=True, patience=timedelta(seconds=30)),))
    async with ground.house(replace(topology, ladders=(exact,))) as house:
        told = await asyncio.gather(*(house.ask(f"turn {n}") for n in range(5)))
    assert all(each.status == "completed" for each in told)
    assert (primary.total, primary.peak, fallback.total) == (5, 1, 0)
