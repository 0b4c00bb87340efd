"""Two worker processes serve one pool: a member never has more calls than slots, whatever becomes of them."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from activities.contracts.topology import Topology
from tests.ladder.seats import Seat, laid_out
from tests.support.house import Ground, House
from tests.support.pool_process import worker
from tests.support.standin import Reply, StandIn

pytestmark = pytest.mark.durability

SLOTS = 3
TEXT = "one two three four five"


def one_member(standin: StandIn, name: str, slots: int = SLOTS) -> Topology:
    return laid_out([Seat(name=name, standin=standin, slots=slots, patience_s=120, call_s=60)])


@asynccontextmanager
async def two_workers(
    ground: Ground, topology: Topology, folder: Path
) -> AsyncGenerator[tuple[House, list[asyncio.subprocess.Process]]]:
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(ground.house(topology, pools=False))
        processes: list[asyncio.subprocess.Process] = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            processes.append(await stack.enter_async_context(worker(ground, folder / name, topology)))
        yield house, processes


async def test_two_processes_never_exceed_a_members_slots_and_one_killed_is_replaced(
    ground: Ground, primary: StandIn, tmp_path: Path
) -> None:
    primary.default = Reply(text=TEXT, pace_s=0.02)
    async with two_workers(ground, one_member(primary, "killed"), tmp_path) as (house, processes):
        turns = [await house.begin(f"turn {n}") for n in range(40)]
        await primary.arrived(10, within_s=60)
        processes[0].kill()
        await processes[0].wait()
        told = await asyncio.gather(*map(house.follow, turns))
    assert [each.answer for each in told] == [TEXT] * 40
    assert primary.peak <= SLOTS
    assert primary.total >= 40


async def holder_of(ground: Ground, member: str) -> int:
    """The number of the process that has the member's only slot."""
    query = "select worker from aither.shares where member = $1 and slots = 1"
    async with asyncio.timeout(60):
        while not (worker := await ground.database.run(lambda c: c.fetchval(query, member))):
            await asyncio.sleep(0.1)
    return int(worker.rsplit("|", 2)[1])


async def test_a_frozen_process_keeps_nobody_from_its_slots_for_long(
    ground: Ground, primary: StandIn, tmp_path: Path
) -> None:
    """With one slot, whoever has it is frozen while idle; the other has it once its share stands still."""
    primary.default = Reply(text=TEXT)
    topology = one_member(primary, "frozen", slots=1)
    async with two_workers(ground, topology, tmp_path) as (house, processes):
        assert (await house.ask("before")).answer == TEXT
        pid = await holder_of(ground, "frozen")
        frozen = next(process for process in processes if process.pid == pid)
        frozen.send_signal(signal.SIGSTOP)
        try:
            told = await house.begin("meanwhile")
            async with asyncio.timeout(60):
                while await holder_of(ground, "frozen") == pid:
                    await asyncio.sleep(0.1)
            # The server may have handed the call to the frozen one: then it comes back with its heartbeat.
            await primary.arrived(2, within_s=60)
            await house.follow(told)
        finally:
            frozen.send_signal(signal.SIGCONT)
        assert told.answer == TEXT
        assert (await house.ask("after")).answer == TEXT
    assert primary.peak == 1
