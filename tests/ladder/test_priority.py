"""Who is next for a model with one slot: by priority, by fair shares, by how long a call has waited.

In each test one call holds the slot while the others queue up; once it is let go, the order in which they come to
the stand-in is theirs in the queue.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from activities.contracts.backends import Ladder
from activities.contracts.urgency import Urgency
from tests.ladder.seats import CALLS_TOOLS, Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import Ground, House
from tests.support.standin import Reply, StandIn

WITHIN_S = 60.0


class Line:
    """A house whose one slot is taken, and the line of those who wait for it."""

    def __init__(self, house: House, standin: StandIn, before: Told) -> None:
        self.house = house
        self.standin = standin
        self.told = [before]

    async def join(self, house: House, *names: str, **how: Any) -> list[Told]:
        """Begins turns of these names, all at once; each has told its name to the stand-in when its call comes."""
        began = await asyncio.gather(*(house.begin(name, **how) for name in names))
        self.told += began
        return began

    async def queued(self, calls: int) -> None:
        """Waits until so many calls stand in the pool's queue."""
        rung = self.house.topology.ladders[0].answer[0]
        request = DescribeTaskQueueRequest(
            namespace=self.house.ground.client.namespace,
            task_queue=TaskQueue(name=rung.pool),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            include_task_queue_status=True,
        )
        async with asyncio.timeout(WITHIN_S):
            while True:
                told = await self.house.ground.client.workflow_service.describe_task_queue(request)
                if told.task_queue_status.backlog_count_hint >= calls:
                    return
                await asyncio.sleep(0.05)

    async def order(self) -> list[str]:
        """Lets everybody through; the names in the order in which they came."""
        self.standin.release()
        await self.standin.arrived(len(self.told), within_s=WITHIN_S)
        await asyncio.gather(*(self.house.closed(told) for told in self.told))
        return [call.text for call in self.standin.calls][1:]


@asynccontextmanager
async def line(
    ground: Ground, standin: StandIn, *more: Seat, patience_s: float = 100.0, **rules: Any
) -> AsyncGenerator[Line]:
    standin.script(Reply(hold_after=0))
    narrow = Seat(name="narrow", standin=standin, slots=1, patience_s=patience_s, call_s=WITHIN_S)
    async with ground.house(laid_out([narrow, *more], **rules), silence_s=WITHIN_S) as house:
        before = await house.begin("the first")
        await standin.arrived(within_s=WITHIN_S)
        yield Line(house, standin, before)


def named(prefix: str, count: int) -> list[str]:
    return [f"{prefix} {n}" for n in range(count)]


def kinds(order: Sequence[str]) -> list[str]:
    return [name.split()[0] for name in order]


async def test_a_late_interactive_turn_is_served_before_200_background_calls(
    ground: Ground, primary: StandIn
) -> None:
    async with line(ground, primary) as waiting:
        await waiting.join(waiting.house, *named("background", 200), priority=Urgency.BACKGROUND)
        await waiting.queued(200)
        await waiting.join(waiting.house, "interactive")
        await waiting.queued(201)
        order = await waiting.order()
    assert order[0] == "interactive"
    assert kinds(order[1:]) == ["background"] * 200


async def test_the_kinds_of_work_run_in_order_of_their_urgency(ground: Ground, primary: StandIn) -> None:
    async with line(ground, primary) as waiting:
        for count, urgency in enumerate(sorted(Urgency, reverse=True), start=1):
            await waiting.join(waiting.house, *named(urgency.name, 3), priority=urgency)
            await waiting.queued(3 * count)
        order = await waiting.order()
    assert kinds(order) == [urgency.name for urgency in Urgency for _ in range(3)]


async def test_tenants_take_turns_however_many_calls_one_has_waiting(
    ground: Ground, primary: StandIn
) -> None:
    async with line(ground, primary) as waiting:
        many, few = await waiting.house.neighbour(), await waiting.house.neighbour()
        await waiting.join(many, *named("many", 30))
        await waiting.queued(30)
        await waiting.join(few, *named("few", 10))
        await waiting.queued(40)
        order = kinds(await waiting.order())
    first = order[:20]
    assert abs(first.count("few") - 10) <= 1, first
    longest = max(len(list(run)) for _, run in itertools.groupby(first))
    assert longest <= 2, first


async def test_a_weight_of_three_gets_three_times_as_much(ground: Ground, primary: StandIn) -> None:
    async with line(ground, primary) as waiting:
        heavy, light = await waiting.house.neighbour(3.0), await waiting.house.neighbour()
        await waiting.join(light, *named("light", 40))
        await waiting.queued(40)
        await waiting.join(heavy, *named("heavy", 40))
        await waiting.queued(80)
        order = kinds(await waiting.order())
    shares = Counter(order[:40])
    assert abs(shares["heavy"] - 30) <= 2, order[:40]
    for start in range(0, 40, 8):
        assert 1 <= order[start : start + 8].count("light") <= 3, order[:40]


async def test_priority_goes_before_every_weight(ground: Ground, primary: StandIn) -> None:
    async with line(ground, primary) as waiting:
        heavy, light = await waiting.house.neighbour(1000.0), await waiting.house.neighbour(0.001)
        await waiting.join(heavy, *named("heavy", 10), priority=Urgency.SWARM)
        await waiting.queued(10)
        await waiting.join(light, *named("light", 5), priority=Urgency.AGENT)
        await waiting.queued(15)
        order = kinds(await waiting.order())
    assert order == ["light"] * 5 + ["heavy"] * 10


async def test_a_background_call_that_has_waited_is_served_before_interactive_ones_that_come_later(
    ground: Ground, primary: StandIn
) -> None:
    async with line(ground, primary, aging=timedelta(milliseconds=500)) as waiting:
        (old,) = await waiting.join(waiting.house, "background", priority=Urgency.BACKGROUND)
        await waiting.join(waiting.house, *named("earlier", 10))
        await has_become(waiting.house, old, Urgency.INTERACTIVE)
        await waiting.join(waiting.house, *named("later", 30))
        await waiting.queued(41)
        order = kinds(await waiting.order())
        told = await waiting.house.follow(old)
    assert order == ["earlier"] * 10 + ["background"] + ["later"] * 30
    (hop,) = told.view["route"]
    assert hop["waited_ms"] >= 2000, "the whole wait, over all its stages"


async def has_become(house: House, told: Told, priority: int) -> None:
    """Waits until the turn's call has been queued at this priority."""
    async with asyncio.timeout(WITHIN_S):
        async for event in house.handle(told).fetch_history_events(wait_new_event=True):
            queued = event.activity_task_scheduled_event_attributes
            if (
                event.HasField("activity_task_scheduled_event_attributes")
                and queued.priority.priority_key == priority
            ):
                return


@pytest.mark.parametrize("aging", [None, timedelta(milliseconds=200)])
async def test_a_rung_without_room_is_left_after_its_patience_and_the_route_says_so(
    ground: Ground, primary: StandIn, fallback: StandIn, aging: timedelta | None
) -> None:
    other = Seat(name="other", standin=fallback)
    async with line(ground, primary, other, patience_s=0.5, aging=aging) as waiting:
        told = await waiting.house.ask("in a hurry", priority=Urgency.BACKGROUND)
        await waiting.order()
    assert told.route == ["narrow skipped no_room", "other answered"]
    left, answered = told.view["route"]
    assert left["why"].startswith(f"no_room: {left['pool']} had no slot free within 0.5 s")
    assert left["why"].endswith("it aged from priority 5 to 3") == (aging is not None)
    assert left["waited_ms"] >= 500
    assert answered["waited_ms"] < left["waited_ms"]
    assert primary.count("in a hurry") == 0


async def test_an_escalation_waits_behind_turns_that_nobody_has_answered(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    fallback.script(Reply(tool_calls=(("reason", '{"question": "why?"}'),)))
    async with line(
        ground, primary, Seat(name="front", standin=fallback, capabilities=CALLS_TOOLS)
    ) as waiting:
        topology = waiting.house.topology
        narrow, front = topology.ladders[0].answer
        reasoning = replace(topology, ladders=(Ladder(name="auto", answer=(front,), reason=(narrow,)),))
        (escalated,) = await waiting.join(replace(waiting.house, topology=reasoning), "escalated", effort=8)
        await waiting.queued(1)
        await waiting.join(waiting.house, *named("direct", 2))
        await waiting.queued(3)
        order = await waiting.order()
        await waiting.house.follow(escalated)
    assert escalated.route == ["front escalated", "narrow answered"]
    assert kinds(order[:2]) == ["direct"] * 2
