"""Whether a member is well is asked of it: one that refuses goes, one that comes back is used again."""

from dataclasses import replace

import aiohttp

from activities.contracts.backends import Dialect
from activities.contracts.pools import EngineFigures
from activities.contracts.topology import Topology
from infra.engines import EngineWord
from tests.pools.seated import POOL, desk, member
from tests.support.standin import StandIn
from workers.pools.members import Member
from workers.pools.probing import Probes

NOTHING = Topology(backends=(), ladders=())


def served_by(standin: StandIn) -> Member:
    one = member("one")
    one.backend = replace(one.backend, base_url=standin.url)
    return one


async def test_a_member_that_refuses_twice_is_down_and_up_again_at_once(primary: StandIn) -> None:
    one = served_by(primary)
    house = desk(one)
    probes = Probes(house, NOTHING, lambda: True)
    async with aiohttp.ClientSession() as session:
        await probes.look(session)
        assert not one.down
        await primary.refuse()
        await probes.look(session)
        assert not one.down, "once may be a restart"
        assert probes.doubtful
        await probes.look(session)
        assert one.down == "connection refused"
        assert not probes.doubtful
        assert [each.backend for each in house.barred()] == ["one"]
        await primary.accept()
        await probes.look(session)
        assert not one.down
        assert house.pools[POOL].limit == 2


def words(member: Member, probes: Probes, *figures: EngineFigures) -> None:
    for each in figures:
        probes.take(member, EngineWord(alive=True, figures=each))


async def test_calls_of_others_are_not_ours_to_give_their_slots_to() -> None:
    one = member("one", 4)
    one.backend = replace(one.backend, dialect=Dialect.VLLM)
    house = desk(one)
    alone = True
    probes = Probes(house, NOTHING, lambda: alone)
    words(one, probes, EngineFigures(running=3, waiting=0))
    assert one.foreign == 0, "one look may have met a call that was just ending"
    words(one, probes, EngineFigures(running=3, waiting=0))
    assert (one.foreign, house.pools[POOL].limit) == (3, 1)
    async with house.take(POOL, turn_id="turn"):
        words(one, probes, EngineFigures(running=4, waiting=0), EngineFigures(running=4, waiting=0))
        assert one.foreign == 3, "ours is not another's"
    words(one, probes, EngineFigures(running=0, waiting=0))
    assert (one.foreign, house.pools[POOL].limit) == (0, 4)
    # With other processes of ours about, only what waits in the engine tells.
    alone = False
    words(one, probes, *[EngineFigures(running=4, waiting=2)] * 2)
    assert one.foreign == 2


async def test_an_engine_that_sleeps_gets_no_calls() -> None:
    one = member("one")
    house = desk(one)
    words(one, Probes(house, NOTHING, lambda: True), EngineFigures(asleep=True))
    assert house.barred()[0].why == "one: it sleeps"
