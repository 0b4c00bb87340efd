"""What a host's activities promise whatever the kind: one move at a time, late ones turned away, failures told."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from activities.contracts.cards import CardSpec, Found, HostKind, InspectAsk, Residency, Resident
from activities.errors import MoveFailed
from activities.hosting import HostActivities, Told, Vram
from tests.hosts.conftest import Card, NoGauge, a_resident, an_ask

AWAKE, ABSENT, UNKNOWN = Residency.AWAKE, Residency.ABSENT, Residency.UNKNOWN


class Scripted:
    """A host of which residents are where they were brought, unless something else is said of it."""

    def __init__(self) -> None:
        self.where: dict[str, Residency] = {}
        self.brought: list[tuple[str, Residency]] = []
        self.error: Exception | None = None
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.at_work = 0
        self.most_at_work = 0
        self.generation = "1"

    async def bring(self, resident: Resident, to: Residency) -> None:
        self.brought.append((resident.name, to))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await asyncio.sleep(0)
            await self.let_go.wait()
            if self.error:
                raise self.error
            self.where[resident.name] = to
        finally:
            self.at_work -= 1

    async def find(self, resident: Resident) -> Found:
        residency = self.where.get(resident.name, ABSENT)
        return Found(resident=resident.name, residency=residency, generation=self.generation)

    async def taken_mib(self, resident: Resident) -> int | None:
        return None


ONE = a_resident(HostKind.PROCESS, "http://127.0.0.1:1")
TWO = a_resident(HostKind.PROCESS, "http://127.0.0.1:2", name="two", card="desk/1")


@pytest.fixture
def host() -> Scripted:
    return Scripted()


@pytest.fixture
async def moves(host: Scripted) -> AsyncGenerator[HostActivities]:
    yield HostActivities({HostKind.PROCESS: host}, NoGauge(), settle_s=0)


async def test_what_is_there_stays_as_it_is(host: Scripted, moves: HostActivities) -> None:
    for _ in range(2):
        done = await moves.move(an_ask(ONE, AWAKE, 7))
        assert (done.ok, done.residency, done.number, done.resident) == (True, AWAKE, 7, "one")
    assert host.brought == [("one", AWAKE)]
    here = Found(resident="one", residency=AWAKE, generation="1")
    assert not moves.is_news(here)
    assert moves.is_news(replace(here, residency=ABSENT)) and moves.is_news(replace(here, resident="two"))
    moves.told["one"] = Told(AWAKE, "0")
    assert moves.is_news(here)


async def test_a_late_ask_is_turned_away(host: Scripted, moves: HostActivities) -> None:
    assert (await moves.move(an_ask(ONE, AWAKE, 5))).ok
    late = await moves.move(an_ask(ONE, ABSENT, 4))
    assert (late.ok, late.residency) == (False, AWAKE)
    assert late.why == "late: move 4 of desk/0 came after move 5"
    assert host.where == {"one": AWAKE}
    # Each card counts for itself.
    assert (await moves.move(an_ask(TWO, AWAKE, 1))).ok


async def test_an_ask_that_is_overtaken_while_it_waits_is_turned_away(
    host: Scripted, moves: HostActivities
) -> None:
    host.let_go.clear()
    other = asyncio.create_task(moves.move(an_ask(TWO, AWAKE, 1)))
    old = asyncio.create_task(moves.move(an_ask(ONE, AWAKE, 1)))
    await asyncio.sleep(0)
    new = asyncio.create_task(moves.move(an_ask(ONE, ABSENT, 2)))
    await asyncio.sleep(0)
    host.let_go.set()
    assert (await other).ok
    assert "late" in (await old).why
    assert (await new).ok
    assert host.brought == [("two", AWAKE)]


async def test_one_move_at_a_time(host: Scripted, moves: HostActivities) -> None:
    residents = [
        a_resident(HostKind.PROCESS, f"http://x:{n}", name=f"r{n}", card=f"desk/{n}") for n in range(9)
    ]
    done = await asyncio.gather(*(moves.move(an_ask(each, AWAKE)) for each in residents))
    assert all(each.ok for each in done)
    assert host.most_at_work == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [(MoveFailed("the disk is full"), "the disk is full"), (KeyError("x"), "KeyError in moving it")],
)
async def test_a_failure_is_a_result(
    host: Scripted, moves: HostActivities, error: Exception, why: str
) -> None:
    host.error = error
    done = await moves.move(an_ask(ONE, AWAKE))
    assert (done.ok, done.residency, done.why) == (False, ABSENT, why)
    host.error = None
    assert (await moves.move(an_ask(ONE, AWAKE, 2))).ok


async def test_a_cancelled_move_is_over_and_the_next_one_goes_on(
    host: Scripted, moves: HostActivities
) -> None:
    host.let_go.clear()
    moving = asyncio.create_task(moves.move(an_ask(ONE, AWAKE)))
    while not host.at_work:
        await asyncio.sleep(0)
    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving
    host.let_go.set()
    assert (await moves.move(an_ask(ONE, AWAKE, 2))).ok


async def test_a_look_leaves_out_what_is_on_its_way(host: Scripted, moves: HostActivities) -> None:
    resting = a_resident(HostKind.PROCESS, "http://x:9", name="resting")
    spec = CardSpec(card="desk/0", vram_mib=2000, residents=(ONE, resting))
    host.let_go.clear()
    moving = asyncio.create_task(moves.move(an_ask(ONE, AWAKE)))
    while not host.at_work:
        await asyncio.sleep(0)
    assert [each.resident for each in (await moves.inspect(spec)).residents] == ["resting"]
    host.let_go.set()
    await moving
    found = {each.resident: each.residency for each in (await moves.inspect(spec)).residents}
    assert found == {"one": AWAKE, "resting": ABSENT}


async def test_a_look_tells_what_is_measured() -> None:
    spec = CardSpec(card="desk/0", vram_mib=2000)
    seen = await HostActivities({}, Card(1900, lambda: 400)).inspect(spec)
    assert (seen.free_mib, seen.total_mib) == (1500, 1900)
    unseen = await HostActivities({}, NoGauge()).inspect(spec)
    assert (unseen.free_mib, unseen.total_mib) == (None, None)


async def test_a_doubt_lasts_until_a_move_does_better_or_it_is_another_process(host: Scripted) -> None:
    """It seems to be away, and what it had is not free: nobody may count on that."""
    kept = [1000]
    moves = HostActivities({HostKind.PROCESS: host}, Card(2000, lambda: kept[0]), settle_s=0)
    host.where["one"] = AWAKE
    failed = await moves.move(an_ask(ONE, ABSENT))
    assert (failed.ok, failed.residency) == (False, UNKNOWN)
    spec = CardSpec(card="desk/0", vram_mib=2000, residents=(ONE,))
    (found,) = (await moves.inspect(spec)).residents
    assert (found.residency, found.why) == (UNKNOWN, failed.why)
    assert not (await moves.move(an_ask(ONE, ABSENT, 2))).ok
    kept[0] = 0
    assert (await moves.move(an_ask(ONE, ABSENT, 3))).ok
    (found,) = (await moves.inspect(spec)).residents
    assert found.residency is ABSENT
    kept[0], host.where["one"] = 1000, AWAKE
    assert not (await moves.move(an_ask(ONE, ABSENT, 4))).ok
    host.generation = "2"
    (found,) = (await moves.inspect(spec)).residents
    assert found.residency is ABSENT


async def test_memory_that_comes_back_slowly_is_waited_for(host: Scripted) -> None:
    readings = iter([1000, 1000, 1000, 600, 300, 0])

    class Slow:
        last = 1000

        def read(self, index: int) -> Vram | None:
            if host.where["one"] is ABSENT:
                self.last = next(readings, 0)
            return Vram(free_mib=2000 - self.last, total_mib=2000)

    host.where["one"] = AWAKE
    moves = HostActivities({HostKind.PROCESS: host}, Slow(), settle_s=30)
    done = await moves.move(an_ask(ONE, ABSENT))
    assert (done.ok, done.free_mib) == (True, 2000)


async def test_as_activities(host: Scripted, moves: HostActivities) -> None:
    environment = ActivityEnvironment()
    done = await environment.run(moves.move_resident, an_ask(ONE, AWAKE))
    assert done.ok
    spec = CardSpec(card="desk/0", vram_mib=2000, residents=(ONE,))
    seen = await environment.run(moves.inspect_card, InspectAsk(spec=spec))
    assert [each.residency for each in seen.residents] == [AWAKE]
