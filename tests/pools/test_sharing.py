"""Processes that serve one pool and divide it by shares in PostgreSQL: whoever freezes, dies or leaves."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

from activities.contracts.policy import Barred
from activities.errors import Overtaken
from activities.ports import Seat
from infra.postgres.shares import PostgresShares
from tests.pools.seated import POOL, Clock, desk, member
from tests.support.house import Ground
from workers.pools.desk import Desk
from workers.pools.identity import is_dead, worker_id
from workers.pools.members import Member
from workers.pools.sharing import Sharing
from workflows.policy.shares import LASTS_S


class Process:
    """One process with a desk and a clock of its own, renewing when it is told to."""

    def __init__(self, ground: Ground, name: str, one: Member, *, dead: set[str]) -> None:
        self.name, self.clock, self.member = name, Clock(), one
        self.desk: Desk = desk(one, clock=self.clock)
        self.sharing = Sharing(
            self.desk, PostgresShares(ground.database), name, dead=lambda worker: worker in dead
        )

    @property
    def limit(self) -> int:
        return self.desk.pools[POOL].limit


class Processes:
    """Some processes with the same member, under names that no other test has."""

    def __init__(self, ground: Ground, slots: int) -> None:
        self.ground, self.slots, self.dead = ground, slots, set[str]()
        self.suffix = uuid4().hex[:8]

    def one(self, name: str) -> Process:
        return Process(
            self.ground,
            f"{name}-{self.suffix}",
            member(f"member-{self.suffix}", self.slots),
            dead=self.dead,
        )


async def renewed(*processes: Process, rounds: int = 3) -> list[int]:
    for _ in range(rounds):
        for process in processes:
            await process.sharing.renew()
    return [process.limit for process in processes]


async def test_alone_it_has_every_slot_and_two_have_half_each(ground: Ground) -> None:
    both = Processes(ground, 4)
    first, second = both.one("first"), both.one("second")
    assert first.limit == 0, "nothing before it is written"
    assert await renewed(first) == [4]
    assert first.sharing.alone
    assert await renewed(first, second) == [2, 2]
    assert not first.sharing.alone
    await second.sharing.leave()
    assert await renewed(first) == [4]


async def test_a_single_slot_is_one_processs_alone(ground: Ground) -> None:
    both = Processes(ground, 1)
    first, second = both.one("first"), both.one("second")
    assert sorted(await renewed(first, second)) == [0, 1]


async def test_a_newcomer_waits_for_calls_in_hand(ground: Ground) -> None:
    both = Processes(ground, 2)
    first, second = both.one("first"), both.one("second")
    await renewed(first)
    async with AsyncExitStack() as calls:
        for _ in range(2):
            await first.desk.pools[POOL].permit()
            assert isinstance(await calls.enter_async_context(first.desk.take(POOL, turn_id="t")), Seat)
        assert await renewed(first, second) == [2, 0]
    assert await renewed(first, second) == [2, 0], "permits given out for calls to come are kept, too"
    first.desk.pools[POOL].return_permit()
    first.desk.pools[POOL].return_permit()
    assert await renewed(first, second) == [1, 1]


async def test_what_stands_still_is_taken_by_the_takers_clock_alone(ground: Ground) -> None:
    both = Processes(ground, 4)
    frozen, other = both.one("frozen"), both.one("other")
    await renewed(frozen, other)
    other.clock.now += LASTS_S - 0.01
    assert await renewed(other) == [2]
    other.clock.now += 0.01
    assert await renewed(other) == [4]
    # Its own clock has gone on as well by then, so it gives nothing out before it has looked.
    frozen.clock.now += LASTS_S
    assert frozen.limit == 0
    assert await renewed(frozen, other) == [2, 2]


async def test_one_that_thaws_gives_up_the_calls_that_it_has_no_right_to(ground: Ground) -> None:
    both = Processes(ground, 1)
    frozen, other = both.one("frozen"), both.one("other")
    await renewed(frozen)
    sat = asyncio.Event()

    async def call() -> None:
        async with frozen.desk.take(POOL, turn_id="turn") as seat:
            assert isinstance(seat, Seat)
            sat.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await sat.wait()
    assert await renewed(other) == [0]
    other.clock.now += LASTS_S
    assert await renewed(other) == [1]
    frozen.clock.now += LASTS_S
    await frozen.sharing.renew()
    (lost,) = await asyncio.gather(calling, return_exceptions=True)
    assert isinstance(lost, Overtaken)
    assert frozen.limit == 0


async def test_one_that_is_known_to_be_dead_is_not_waited_for(ground: Ground) -> None:
    both = Processes(ground, 3)
    dead, heir = both.one("dead"), both.one("heir")
    await renewed(dead)
    assert await renewed(heir, rounds=1) == [0]
    both.dead.add(dead.name)
    assert await renewed(heir, rounds=1) == [3]


async def test_one_that_cannot_renew_stops(ground: Ground) -> None:
    alone = Processes(ground, 2).one("alone")
    assert await renewed(alone) == [2]
    alone.clock.now += LASTS_S
    assert alone.limit == 0
    async with alone.desk.take(POOL, turn_id="turn") as none:
        assert isinstance(none, Barred)


async def test_slots_that_others_take_are_not_ours_to_give(ground: Ground) -> None:
    alone = Processes(ground, 4).one("alone")
    await renewed(alone)
    alone.member.foreign = 3
    assert alone.limit == 1, "at once"
    assert await renewed(alone) == [1]
    alone.member.foreign = 0
    assert await renewed(alone) == [4]


async def test_who_is_dead_is_known_on_this_machine_only() -> None:
    me = worker_id()
    assert not is_dead(me)
    place, number, began = me.rsplit("|", 2)
    assert is_dead(f"{place}|{number}|1.00"), "its number is another's now"
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    assert is_dead(f"{place}|{process.pid}|{began}")
    assert not is_dead(f"elsewhere|-|{process.pid}|{began}")
    assert not is_dead("nonsense")
