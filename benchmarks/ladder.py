"""What climbing adds: `python -m benchmarks.ladder [--turns 60]`.

Real Temporal, PostgreSQL and Redis, the product's workers, and stand-ins that answer after 50 ms, all on this
machine and all but the servers in this process, so trust the differences and ratios, not the milliseconds.

    added     a turn, from storing it to reading its end, less the same backend calls made bare, in sequence
    a skip    what one rung that is known to be closed adds to a turn
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from activities.contracts.chat import ChatCall, Message, Role
from activities.contracts.policy import Barred
from activities.ports import ChatBackend
from infra.llm.backends import open_backends
from tests.ladder.seats import CALLS_TOOLS, Seat, laid_out
from tests.support.house import Ground, House
from tests.support.standin import Reply, StandIn

DELAY_S = 0.05
WARM_UP = 10
CLOSED = 8
ANSWER = Reply(tokens=20, delay_s=DELAY_S)
PULL = Reply(tool_calls=(("reason", '{"question": "why?"}'),), delay_s=DELAY_S)


@dataclass(frozen=True)
class Times:
    """Milliseconds of sequential runs."""

    p50: float
    p95: float


async def timed(run: Callable[[], Awaitable[object]], times: int) -> Times:
    """Runs it, one after another."""
    taken: list[float] = []
    for number in range(times + WARM_UP):
        began = time.perf_counter()
        await run()
        if number >= WARM_UP:
            taken.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(taken, n=20)
    return Times(statistics.median(taken), cuts[-1])


async def called(backend: ChatBackend) -> None:
    """One call of a backend, without any of the rest."""
    said = (Message(role=Role.USER, content="hello there"),)
    async for _ in backend.stream(ChatCall(model="front-model", messages=said)):
        pass


async def measure(turns: int) -> None:
    """Measures and prints."""
    async with Ground.laid() as ground, StandIn(ANSWER) as front, StandIn(ANSWER) as thinker:
        rungs = [Seat(name="front", standin=front, capabilities=CALLS_TOOLS)]
        topology = laid_out(rungs, [Seat(name="thinker", standin=thinker)])
        async with open_backends(topology, {}) as backends:
            bare = await timed(lambda: called(backends["front"]), turns)
        async with ground.house(topology) as house:
            plain = await timed(house.ask, turns)

            async def escalated() -> None:
                front.script(PULL)
                told = await house.ask(effort=8)
                assert told.route == ["front escalated", "thinker answered"]

            climbed = await timed(escalated, turns)
        skip = await skipping(ground, front, turns)
        show("bare call", bare, bare.p50)
        show("turn", plain, bare.p50)
        show("escalated turn", climbed, 2 * bare.p50)
        print(f"{'a closed rung passed over':28}{skip:8.2f} ms")


async def skipping(ground: Ground, front: StandIn, turns: int) -> float:
    """What each of some closed rungs adds to a turn."""
    closed = [Seat(name=f"closed-{number}", standin=front) for number in range(CLOSED)]
    barred = tuple(Barred(backend=seat.name, why="failed too often", retry_in_s=9) for seat in closed)
    topology = laid_out([*closed, Seat(name="open", standin=front)])

    async def passing(house: House, barred: tuple[Barred, ...]) -> None:
        told = await house.ask(barred=barred)
        assert len(told.route) == len(barred) + 1

    async with ground.house(laid_out([Seat(name="open", standin=front)])) as house:
        without = await timed(lambda: passing(house, ()), turns)
    async with ground.house(topology) as house:
        with_them = await timed(lambda: passing(house, barred), turns)
    return (with_them.p50 - without.p50) / CLOSED


def show(what: str, times: Times, calls_ms: float) -> None:
    """One line: how long, and how much more than the backend calls alone."""
    added = f"added {times.p50 - calls_ms:6.1f} / {times.p95 - calls_ms:6.1f} ms, x{times.p50 / calls_ms:.2f}"
    print(f"{what:28}{times.p50:8.1f} / {times.p95:6.1f} ms   {added}")


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=60)
    asyncio.run(measure(parser.parse_args().turns))


if __name__ == "__main__":
    main()
