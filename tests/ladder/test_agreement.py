"""A rung that somebody must agree to is not asked before somebody has, and never where somebody does not."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.contracts.approvals import ApprovalKind, ApprovalStatus, Scope
from activities.contracts.events import EventKind
from activities.contracts.policy import ApproveCloud, TurnPolicy
from infra.ids import new_id
from tests.ladder.deciding import Desk, moment
from tests.ladder.seats import PRICE, Seat, laid_out
from tests.support.house import LIFETIME, Ground, House
from tests.support.standin import Reply, StandIn

ASK = TurnPolicy(approve_cloud=ApproveCloud.ASK)
ALWAYS = TurnPolicy(approve_cloud=ApproveCloud.ALWAYS)
GRANTED = ("escalation", "decided", "grant")


@asynccontextmanager
async def cloud(
    ground: Ground, far: StandIn, near: StandIn | None = None, **rules: Any
) -> AsyncGenerator[tuple[House, Desk]]:
    """A house that would ask the cloud first, and then, where there is one, a model of its own."""
    seats: Sequence[Seat] = [Seat(name="claude", standin=far, cloud=True, price=PRICE)]
    if near is not None:
        seats = [*seats, Seat(name="local", standin=near)]
    async with ground.house(laid_out(seats, **rules)) as house:
        yield house, await Desk.of(house)


async def test_the_cloud_is_asked_once_somebody_agrees(ground: Ground, primary: StandIn) -> None:
    secret = "and this part of the question must not be shown to anybody"
    async with cloud(ground, primary) as (house, desk):
        told = await house.begin(f"what is it that the preview may show {secret}", policy=ASK)
        waiting = await desk.asked(told)
        assert primary.total == 0
        running = await desk.turn(told)
        assert running["status"] == "running"
        assert running["waiting_for"]["approval_id"] == waiting["approval_id"]
        assert running["waiting_for"]["title"] == waiting["title"]
        assert waiting["turn_id"] == told.turn_id
        assert waiting["link"].endswith(f"/v1/approvals/{waiting['approval_id']}")
        assert datetime.now(UTC) < moment(waiting["deadline"]) < datetime.now(UTC) + LIFETIME
        view = await desk.view(waiting)
        assert (view.kind, view.subject, view.leaves_building) == (
            ApprovalKind.ESCALATION,
            told.turn_id,
            True,
        )
        assert re.fullmatch(r"This question would go to claude-model, about \$0\.\d+", view.title)
        assert view.title == waiting["title"]
        assert view.destination == "claude (claude-model)"
        assert "what is it that the preview may show" in view.summary
        assert (view.requester, view.scopes) == ("key test", (Scope.ONCE, Scope.ALWAYS))

        await desk.say(waiting)
        assert (await house.follow(told)).route == ["claude answered"]
        assert EventKind.HOP_STARTED in told.kinds()
        assert (await desk.turn(told))["waiting_for"] is None
        await house.closed(told)
        history = (await house.handle(told).fetch_history()).to_json()
        assert secret not in "\n".join((history, view.title, view.summary, view.details))

        # Once is once.
        again = await house.begin("another one", policy=ASK)
        await desk.say(await desk.asked(again), "deny")
        assert (await house.follow(again)).error == "not_agreed"
        assert primary.total == 1


async def test_a_yes_for_a_conversation_is_one_for_its_turns_alone(ground: Ground, primary: StandIn) -> None:
    async with cloud(ground, primary) as (house, desk):
        one, other = new_id("conv"), new_id("conv")
        told = await house.begin("first", policy=ASK, conversation_id=one, new_conversation=True)
        waiting = await desk.asked(told)
        assert (await desk.view(waiting)).scopes == (Scope.ONCE, Scope.CONVERSATION, Scope.ALWAYS)
        await desk.say(waiting, scope=Scope.CONVERSATION)
        await house.follow(told)
        told = await house.ask("second", policy=ASK, conversation_id=one)
        assert told.route == ["claude answered"]
        assert EventKind.TURN_WAITING not in told.kinds(), "the client is not told of what is not waited for"
        assert await desk.approvals() == [("escalation", "decided", "telegram"), GRANTED]
        elsewhere = await house.begin("third", policy=ASK, conversation_id=other, new_conversation=True)
        await desk.say(await desk.asked(elsewhere), "deny")
        await house.follow(elsewhere)


async def test_a_yes_for_always_holds_unless_every_turn_is_to_be_asked_for(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with cloud(ground, primary, fallback) as (house, desk):
        told = await house.begin("first", policy=ASK)
        await desk.say(await desk.asked(told), scope=Scope.ALWAYS)
        await house.follow(told)
        assert (await house.ask("second", policy=ASK)).route == ["claude answered"]
        assert (await desk.approvals())[-1] == GRANTED

        strict = await house.begin("third", policy=ALWAYS)
        waiting = await desk.asked(strict)
        assert (await desk.view(waiting)).scopes == (Scope.ONCE,)
        await desk.say(waiting)
        assert (await house.follow(strict)).route == ["claude answered"]
        # Nor is a yes to one of those of any use to the next.
        strict = await house.begin("fourth", policy=ALWAYS)
        await desk.say(await desk.asked(strict), "deny")
        assert (await house.follow(strict)).route == ["claude skipped not_agreed", "local answered"]


async def test_a_no_falls_to_the_next_rung_and_says_who_and_when(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with cloud(ground, primary, fallback) as (house, desk):
        told = await house.begin(policy=ASK)
        await desk.say(await desk.asked(told), "deny", note="not with this customer")
        assert (await house.follow(told)).route == ["claude skipped not_agreed", "local answered"]
        why = told.view["route"][0]["why"]
        assert re.fullmatch(
            r"not_agreed: denied by anna over telegram at [\d-]{10} [\d:]{5} UTC: not with this customer", why
        )
    async with cloud(ground, primary) as (house, desk):
        told = await house.begin(policy=ASK)
        await desk.say(await desk.asked(told), "deny")
        await house.follow(told)
        assert told.error == "not_agreed"
        assert "denied by anna over telegram" in told.view["error"]["message"]
    assert primary.connections == 0


async def test_nobody_decides_in_time(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    patience = timedelta(seconds=1)
    async with cloud(ground, primary, fallback, approval_patience=patience) as (house, desk):
        told = await house.begin(policy=ASK)
        waiting = await desk.asked(told)
        assert (await house.follow(told)).route == ["claude skipped not_agreed", "local answered"]
        assert "nobody decided by " in told.view["route"][0]["why"]
        assert (await desk.view(waiting)).status is ApprovalStatus.EXPIRED
    assert primary.connections == 0


async def test_a_turn_that_is_cancelled_while_it_waits(ground: Ground, primary: StandIn) -> None:
    async with cloud(ground, primary) as (house, desk):
        told = await house.begin(policy=ASK)
        waiting = await desk.asked(told)
        await house.cancel(told)
        assert (await house.follow(told)).status == "cancelled"
        await house.closed(told)
        assert (await desk.closed(waiting)).status is ApprovalStatus.CANCELLED
        assert (await desk.turn(told))["waiting_for"] is None
    assert primary.connections == 0


async def test_a_price_is_agreed_to_and_a_yes_bounds_it(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """Of a local rung too, where it has a price; what is below the threshold needs nobody."""
    seats = [Seat(name="dear", standin=primary, price=PRICE), Seat(name="free", standin=fallback)]
    async with ground.house(laid_out(seats)) as house:
        desk = await Desk.of(house)
        assert (await house.ask(policy=TurnPolicy(approve_above_usd=1.0))).route == ["dear answered"]
        assert await desk.approvals() == []
        policy = TurnPolicy(approve_above_usd=0.001)
        told = await house.begin(policy=policy, prompt_tokens=100)
        waiting = await desk.asked(told)
        view = await desk.view(waiting)
        assert (view.kind, view.leaves_building, waiting["kind"]) == (ApprovalKind.SPEND, False, "spend")
        assert view.cost_usd == pytest.approx(100 * 2e-6 + 256 * 10e-6, abs=1e-9)
        assert "more than $0.001" in view.summary
        assert "calls of up to $0.005" in view.details
        await desk.say(waiting, scope=Scope.ALWAYS)
        assert (await house.follow(told)).route == ["dear answered"]
        told = await house.ask(policy=policy, prompt_tokens=200)
        assert EventKind.TURN_WAITING not in told.kinds()
        # What costs more than that yes covers is asked for anew.
        told = await house.begin(policy=policy, prompt_tokens=2000)
        await desk.say(await desk.asked(told), "deny")
        assert (await house.follow(told)).route == ["dear skipped not_agreed", "free answered"]


async def test_a_yes_to_leaving_the_building_is_none_to_a_price(ground: Ground, primary: StandIn) -> None:
    async with cloud(ground, primary) as (house, desk):
        told = await house.begin(policy=ASK)
        await desk.say(await desk.asked(told), scope=Scope.ALWAYS)
        await house.follow(told)
        both = TurnPolicy(approve_cloud=ApproveCloud.ASK, approve_above_usd=0.0)
        told = await house.begin(policy=both)
        view = await desk.view(await desk.asked(told))
        assert (view.kind, view.leaves_building) == (ApprovalKind.SPEND, True)
        await house.cancel(told)
        await house.follow(told)


async def test_what_stays_in_the_building_for_nothing_needs_nobody(ground: Ground, primary: StandIn) -> None:
    policy = TurnPolicy(approve_cloud=ApproveCloud.ALWAYS, approve_above_usd=0.0)
    async with ground.house(laid_out([Seat(name="local", standin=primary)])) as house:
        told = await house.ask(policy=policy)
        assert told.route == ["local answered"]
        assert await (await Desk.of(house)).approvals() == []


async def test_a_rung_is_asked_for_once_a_turn(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    """Also where it is tried again after a wait; each rung is asked for by itself."""
    primary.script(Reply(status=503), Reply(status=503))
    fallback.default = Reply(status=400)
    seats = [
        Seat(name="claude", standin=primary, cloud=True, price=PRICE),
        Seat(name="gemini", standin=fallback, cloud=True, price=PRICE),
    ]
    async with ground.house(laid_out(seats)) as house:
        desk = await Desk.of(house)
        told = await house.begin(policy=ALWAYS)
        await desk.say(await desk.asked(told))
        await desk.say(await desk.asked(told))
        await house.follow(told)
        assert told.route == [
            "claude failed backend_unavailable",
            "gemini failed backend_rejected",
            "claude failed backend_unavailable",
            "claude answered",
        ]
        assert len(await desk.approvals()) == 2


async def test_a_turn_without_time_to_wait_asks_nobody(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """A person is waited for as long as the turn can still go on after that, and no longer."""
    async with cloud(ground, primary, fallback, approval_patience=timedelta(days=30)) as (house, desk):
        told = await house.begin(policy=ASK)
        waiting = await desk.asked(told)
        assert moment(waiting["deadline"]) < datetime.now(UTC) + LIFETIME * 0.85
        await desk.say(waiting, "deny")
        assert (await house.follow(told)).answer


async def test_a_price_that_comes_out_as_the_call_is_made_is_agreed_to_first(
    ground: Ground, primary: StandIn
) -> None:
    """Before, only what cannot be left out of the prompt is counted; the worker counts what it sends."""
    both = TurnPolicy(approve_cloud=ApproveCloud.ASK, approve_above_usd=0.003)
    async with cloud(ground, primary) as (house, desk):
        told = await house.begin("word " * 400, policy=both)
        first = await desk.asked(told)
        await desk.say(first)
        second = await desk.asked(told)
        assert (first["kind"], second["kind"]) == ("escalation", "spend")
        assert first["cost_usd"] < 0.003 < second["cost_usd"]
        assert primary.total == 0
        await desk.say(second)
        assert (await house.follow(told)).route == ["claude skipped too_dear", "claude answered"]
        (row,) = await house.rows("select sum(nano_usd) as nano from aither.spend where tenant_id = $1")
        assert row["nano"] > 0

        told = await house.begin("word " * 400, policy=TurnPolicy(approve_above_usd=0.003))
        await desk.say(await desk.asked(told), "deny")
        await house.follow(told)
        assert told.route == ["claude skipped too_dear", "claude skipped not_agreed"]
        assert told.error == "not_agreed"
    assert primary.total == 1


async def test_what_was_said_before_in_a_conversation_is_in_the_cost(
    ground: Ground, primary: StandIn
) -> None:
    async with cloud(ground, primary) as (house, desk):
        conversation = new_id("conv")
        long = await house.begin("word " * 400, conversation_id=conversation, new_conversation=True)
        await house.follow(long)
        told = await house.begin("and now", policy=ASK, conversation_id=conversation)
        waiting = await desk.asked(told)
        assert waiting["cost_usd"] >= (2 * 2000 // 4) * 2e-6 + 256 * 10e-6
        assert "about 1" in (await desk.view(waiting)).details
        await desk.say(waiting, "deny")
        await house.follow(told)
