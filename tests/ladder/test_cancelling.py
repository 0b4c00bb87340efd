"""A turn that is cancelled stops at once, wherever it is, and nobody goes on working for it."""

from datetime import timedelta

from temporalio.api.enums.v1 import EventType

from activities.contracts.events import EventKind
from activities.contracts.policy import RepeatRules
from tests.ladder.seats import Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Reply, StandIn

HEARD_S = 1.0
"""A heartbeat would take longer to bring the news."""


async def test_while_it_streams(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(tokens=9, hold_after=3)
    async with ground.house(laid_out([Seat(name="one", standin=primary)]), silence_s=20) as house:
        told = await house.begin()
        call = await primary.arrived()
        await house.follow(told, until=EventKind.TOKEN)
        await house.cancel(told)
        assert await call.ended(HEARD_S) == "disconnected"
        await house.follow(told)
        assert told.status == "cancelled"
        assert told.view["answer"] is None
        assert told.route == ["one cancelled"]
        await house.closed(told)
        primary.default = Reply()
        assert (await house.ask("next")).answer == "next"


async def test_before_its_first_token(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(hold_after=0)
    async with ground.house(laid_out([Seat(name="one", standin=primary)]), silence_s=20) as house:
        told = await house.begin()
        call = await primary.arrived()
        await house.cancel(told)
        assert await call.ended(HEARD_S) == "disconnected"
        assert (await house.follow(told)).status == "cancelled"


async def test_while_it_waits_for_room(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(hold_after=0)
    seat = Seat(name="one", standin=primary, slots=1)
    async with ground.house(laid_out([seat]), silence_s=20) as house:
        first = await house.begin("first")
        await primary.arrived()
        second = await house.begin("second")
        await house.cancel(second)
        assert (await house.follow(second)).status == "cancelled"
        primary.release()
        assert (await house.follow(first)).answer == "first"
        primary.default = Reply()
        assert (await house.ask("third")).answer == "third"
    assert primary.count("second") == 0


async def test_while_it_pauses(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(status=503)
    topology = laid_out([Seat(name="one", standin=primary)], repeats=RepeatRules(first=timedelta(seconds=8)))
    async with ground.house(topology) as house:
        told = await house.begin()
        async for event in house.handle(told).fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                break
        await house.cancel(told)
        await house.follow(told)
    assert told.status == "cancelled"
    assert told.route == ["one failed backend_unavailable"]
    assert primary.total == 1


async def test_an_answer_that_came_first_stands(ground: Ground, primary: StandIn) -> None:
    async with ground.house(laid_out([Seat(name="one", standin=primary)])) as house:
        told = await house.ask("quick")
        await house.ground.events.announce_cancel(told.turn_id)
        outcome = await house.closed(told)
        assert outcome is not None
        assert outcome.status == "completed"
        assert told.answer == "quick"
