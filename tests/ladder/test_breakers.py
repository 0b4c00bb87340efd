"""A backend that flaps: its breaker opens, lets one probe through, and closes; the house goes on meanwhile."""

import asyncio

from activities.contracts.events import EventKind
from activities.contracts.policy import Barred, BreakerRules
from activities.contracts.topology import Topology
from tests.ladder.seats import Seat, laid_out
from tests.support.house import Ground, House
from tests.support.standin import Reply, StandIn
from workers.breakers import BreakerBoard

RULES = BreakerRules(failures_in_row=3, first_open_s=5.0, max_open_s=20.0)
SERVED = ["primary answered"]
PASSED_OVER = ["primary skipped breaker_open", "fallback answered"]
FAILED = ["primary failed backend_unavailable", "fallback answered"]


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def two(primary: StandIn, fallback: StandIn) -> Topology:
    seats = [
        Seat(name="primary", standin=primary, slots=40),
        Seat(name="fallback", standin=fallback, slots=40),
    ]
    return laid_out(seats, breaker=RULES)


async def routes(house: House, turns: int) -> list[list[str]]:
    return [told.route for told in await asyncio.gather(*(house.ask(f"turn {n}") for n in range(turns)))]


async def test_a_flapping_backend_is_probed_alone_and_served_again_once_it_is_well(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    clock = Clock()
    board = BreakerBoard(RULES, clock)
    async with ground.house(two(primary, fallback), breakers=board, silence_s=20) as house:
        for open_s in (5.0, 10.0):
            primary.default = Reply(status=503)
            asked = primary.total
            while not board.barred():
                assert (await house.ask("down")).route == FAILED
            assert primary.total == asked + 3
            assert await routes(house, 10) == [PASSED_OVER] * 10
            assert primary.total == asked + 3, "an open breaker lets nothing through"

            # The open time is over: of all that come, one probes, and the others do not wait for it.
            clock.now += open_s
            primary.default = Reply(hold_after=0)
            turns = [await house.begin(f"turn {n}") for n in range(10)]
            await primary.arrived(asked + 4)
            waiting = {asyncio.create_task(house.follow(told)) for told in turns}
            while len(waiting) > 1:
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                assert [task.result().route for task in ended] == [PASSED_OVER] * len(ended)
            assert primary.total == asked + 4
            primary.default = Reply()
            primary.release()
            assert (await waiting.pop()).route == SERVED
            assert not board.barred()
            assert await routes(house, 5) == [SERVED] * 5


async def test_a_probe_that_fails_opens_the_breaker_for_longer(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    clock = Clock()
    primary.default = Reply(status=503)
    async with ground.house(two(primary, fallback), breakers=BreakerBoard(RULES, clock)) as house:
        for _ in range(3):
            assert (await house.ask()).route == FAILED
        for open_s in (5.0, 10.0, 20.0, 20.0):
            clock.now += open_s - 0.1
            assert (await house.ask()).route == PASSED_OVER
            clock.now += 0.1
            assert sorted(await routes(house, 4)) == [FAILED, *[PASSED_OVER] * 3]
        assert primary.total == 3 + 4, "one probe each time, however many turns there are"
        primary.default = Reply()
        clock.now += 20.0
        assert (await house.ask()).route == SERVED
        assert (await house.ask()).route == SERVED


async def test_a_probe_that_was_never_sent_says_nothing(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """A turn that is cancelled while it probes leaves the probe to the next."""
    clock = Clock()
    primary.default = Reply(status=503)
    async with ground.house(two(primary, fallback), breakers=BreakerBoard(RULES, clock)) as house:
        for _ in range(3):
            assert (await house.ask()).route == FAILED
        clock.now += 5.0
        primary.default = Reply(hold_after=0)
        probing = await house.begin("probe")
        call = await primary.arrived(4)
        assert (await house.ask()).route == PASSED_OVER
        await house.cancel(probing)
        assert await call.ended() == "disconnected"
        assert (await house.follow(probing)).status == "cancelled"
        primary.default = Reply()
        assert (await house.ask()).route == SERVED


async def test_a_turn_that_knows_of_an_open_breaker_does_not_ask_at_all(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with ground.house(two(primary, fallback)) as house:
        barred = (Barred(backend="primary", why="3 failures in a row", retry_in_s=5.0),)
        told = await house.ask(barred=barred)
        assert told.route == PASSED_OVER
        assert told.kinds(1) == [], "nobody was asked, so nothing was told"
        assert EventKind.HOP_STARTED in told.kinds(2)
    assert primary.connections == 0
