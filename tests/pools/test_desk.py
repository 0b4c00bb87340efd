"""Who may sit where: never more calls at a member than it has slots, and each where there is the most room."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.policy import Barred
from activities.contracts.pools import MemberHealth
from activities.errors import Overtaken
from activities.ports import Seat
from tests.pools.seated import POOL, Clock, desk, member

LONG = timedelta(seconds=30)


async def test_calls_go_where_there_is_the_most_room() -> None:
    small, large = member("small", 2), member("large", 4)
    house = desk(small, large)
    taken: list[str] = []
    async with AsyncExitStack() as stack:
        for number in range(6):
            seat = await stack.enter_async_context(house.take(POOL, turn_id=f"turn_{number}"))
            assert isinstance(seat, Seat)
            taken.append(seat.backend.name)
        assert taken == ["large", "large", "small", "large", "small", "large"]
        assert (small.used, large.used) == (2, 4)
    assert (small.used, large.used) == (0, 0)


async def test_a_full_pool_is_waited_for_and_left_after_its_patience() -> None:
    clock = Clock()
    house = desk(member("one", 1), clock=clock)
    async with house.take(POOL, turn_id="first"):
        async with house.take(POOL, turn_id="second") as none:
            assert isinstance(none, Barred)
            assert none.code == "no_room"

        async def third() -> Seat | Barred:
            async with house.take(POOL, turn_id="third", patience=LONG) as seat:
                return seat

        waiting = asyncio.create_task(third())
        await asyncio.sleep(0)
        assert not waiting.done()
    assert isinstance(await waiting, Seat)


async def test_a_member_that_is_down_or_barred_or_parked_is_passed_by() -> None:
    down, barred, parked, up = (member(name, 9) for name in ("down", "barred", "parked", "up"))
    up.backend = member("up", 1).backend
    house = desk(down, barred, parked, up)
    down.down, parked.parked = "connection refused", "card desk/0 is asleep"
    ticket = house.breakers.admit("barred")
    assert isinstance(ticket, int)
    house.breakers.report("barred", ticket, "backend_unavailable")
    async with house.take(POOL, turn_id="turn") as seat:
        assert isinstance(seat, Seat)
        assert seat.backend.name == "up"
    healths = {each.backend: each.health for each in house.view()[0].members}
    assert healths == {
        "down": MemberHealth.DOWN,
        "barred": MemberHealth.BARRED,
        "parked": MemberHealth.PARKED,
        "up": MemberHealth.UP,
    }
    assert house.pools[POOL].limit == 1
    assert house.barred() == ()


@pytest.mark.parametrize(
    ("trouble", "code"), [("down", "backend_unavailable"), ("parked", "card_asleep")], ids=str
)
async def test_a_pool_with_nobody_left_says_so_at_once_and_takes_calls_in_to_say_it(
    trouble: str, code: str
) -> None:
    only = member("only", 4)
    house = desk(only)
    setattr(only, trouble, "for some reason")
    assert house.pools[POOL].limit == 1, "one permit, by which those that wait learn of it"
    async with house.take(POOL, turn_id="turn", patience=LONG) as none:
        assert isinstance(none, Barred)
        assert (none.code, none.backend) == (code, "only")
        assert "for some reason" in none.why
    assert [each.backend for each in house.barred()] == ["only"]


async def test_an_opened_breaker_is_probed_by_one_call_alone() -> None:
    clock = Clock()
    house = desk(member("only", 4), clock=clock)
    ticket = house.breakers.admit("only")
    assert isinstance(ticket, int)
    house.breakers.report("only", ticket, "backend_unavailable")
    clock.now += 5.0
    assert house.pools[POOL].limit == 1
    async with house.take(POOL, turn_id="probe") as probe:
        assert isinstance(probe, Seat)
        async with house.take(POOL, turn_id="other", patience=LONG) as none:
            assert isinstance(none, Barred)
            assert none.code == "breaker_open"
        house.breakers.report("only", probe.ticket, None)
    assert house.pools[POOL].limit == 4


async def test_only_and_avoid_are_kept_to() -> None:
    house = desk(member("one", 9), member("two", 1))
    async with house.take(POOL, turn_id="turn", only="two") as seat:
        assert isinstance(seat, Seat)
        assert seat.backend.name == "two"
        async with house.take(POOL, turn_id="turn", only="two") as none:
            assert isinstance(none, Barred)
    async with house.take(POOL, turn_id="turn", avoid=("one",)) as seat:
        assert isinstance(seat, Seat)
        assert seat.backend.name == "two"
    async with house.take(POOL, turn_id="turn", avoid=("one", "two")) as none:
        assert isinstance(none, Barred)
    assert house.any_other(POOL, ["one"])
    assert not house.any_other(POOL, ["one", "two"])


async def test_a_member_that_leaves_finishes_what_it_has() -> None:
    leaving, staying = member("leaving", 2), member("staying", 1)
    house = desk(leaving, staying)
    async with house.take(POOL, turn_id="turn") as seat:
        assert isinstance(seat, Seat)
        assert seat.backend.name == "leaving"
        house.seat(POOL, [staying])
        assert house.pools[POOL].limit == 1
        assert {m.backend: m.health for m in house.view()[0].members} == {
            "staying": MemberHealth.UP,
            "leaving": MemberHealth.DRAINING,
        }
    house.seat(POOL, [staying])
    assert [each.backend for each in house.view()[0].members] == ["staying"]
    assert house.member("leaving") == leaving.backend, "whoever has its answer in hand can still look it up"


async def test_a_call_whose_slot_is_anothers_now_is_taken_off_its_seat() -> None:
    only = member("only", 2)
    house = desk(only)
    sat = asyncio.Event()

    async def call() -> None:
        async with house.take(POOL, turn_id="turn"):
            sat.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await sat.wait()
    house.lose(only, 1)
    with pytest.raises(Overtaken):
        await calling
    assert only.used == 0


async def test_rights_that_are_over_give_nothing_out() -> None:
    clock = Clock()
    house = desk(member("only", 2), clock=clock)
    house.pools[POOL].hold_rights_until(clock.now + 9.5)
    assert house.pools[POOL].limit == 2
    clock.now += 9.5
    assert house.pools[POOL].limit == 0
    async with house.take(POOL, turn_id="turn") as none:
        assert isinstance(none, Barred)
        assert none.code == "no_room"


@settings(max_examples=100, deadline=None)
@given(
    slots=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "end", "down", "up", "share", "foreign"]), st.integers(0, 9)),
        max_size=60,
    ),
)
async def test_no_member_ever_has_more_calls_than_it_may(
    slots: list[int], steps: list[tuple[str, int]]
) -> None:
    members = [member(f"m{number}", count) for number, count in enumerate(slots)]
    house = desk(*members)
    open_seats: list[tuple[AsyncExitStack, str]] = []
    for what, number in steps:
        chosen = members[number % len(members)]
        match what:
            case "take":
                stack = AsyncExitStack()
                used = Counter(name for _, name in open_seats)
                room = {
                    m.name: min(m.share if m.share is not None else 99, m.open_slots) - used[m.name]
                    for m in members
                    if not m.down
                }
                seat = await stack.enter_async_context(house.take(POOL, turn_id="turn"))
                if isinstance(seat, Seat):
                    assert room[seat.backend.name] == max(room.values()) > 0
                    open_seats.append((stack, seat.backend.name))
                else:
                    assert all(left <= 0 for left in room.values())
                    await stack.aclose()
            case "end" if open_seats:
                stack, _ = open_seats.pop(number % len(open_seats))
                await stack.aclose()
            case "down":
                chosen.down = "down"
            case "up":
                chosen.down = ""
            case "share":
                chosen.share = number
            case "foreign":
                chosen.foreign = number
            case _:
                pass
        assert Counter(name for _, name in open_seats) == Counter({m.name: m.used for m in members if m.used})
    for stack, _ in open_seats:
        await stack.aclose()
