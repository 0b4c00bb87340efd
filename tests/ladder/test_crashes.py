"""A worker that dies at the worst moments: nothing is answered twice, paid twice, or left set aside.

Dying is played by an error at that moment: to Temporal, the attempt is lost, and another one begins.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from activities.chat import ChatPorts
from activities.contracts.chat import ChatCall, ChatChunk, Message
from activities.errors import StoreUnavailable
from tests.ladder.seats import CALLS_TOOLS, CONTINUES, PRICE, Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import Ground, House
from tests.support.standin import Fault, Reply, StandIn
from workers.pools.desk import Desk

QUESTION = "one two three four five"
PULL = Reply(tool_calls=(("reason", '{"question": "why?"}'),))


@dataclass
class Mortal:
    """Stands before a port, and dies with the first call of a method: before it is made, or after."""

    port: Any
    method: str
    after: bool = True
    error: Exception = field(default_factory=lambda: RuntimeError("killed"))
    deaths: int = 1
    calls: Counter[str] = field(default_factory=Counter[str])

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)
        if name != self.method:
            return method

        async def dies(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            dying = self.calls[name] <= self.deaths
            if dying and not self.after:
                raise self.error
            result = await method(*args, **kwargs)
            if dying:
                raise self.error
            return result

        return dies


async def once_and_for_all(house: House, told: Told, answers: int = 1) -> None:
    """One answer a step, one booking an answer, and nothing still set aside."""
    steps = await house.rows(
        "select step from aither.answers where tenant_id = $1 and turn_id = $2", told.turn_id
    )
    assert len(steps) == answers
    spend = await house.spend()
    assert len([kind for kind, _, _ in spend if kind == "settled"]) == answers
    (days,) = await house.rows("select spent_nano, reserved_nano from aither.spend_days where tenant_id = $1")
    assert days["reserved_nano"] == 0
    assert days["spent_nano"] == sum(nano for kind, _, nano in spend if kind == "settled")


@pytest.mark.parametrize(
    ("port", "method", "after", "calls"),
    [
        ("store", "context", True, 1),
        ("ledger", "reserve", False, 1),
        ("ledger", "reserve", True, 1),
        ("store", "record_answer", False, 2),
        ("store", "record_answer", True, 1),
    ],
)
async def test_a_death_in_a_good_call(
    ground: Ground, primary: StandIn, port: str, method: str, after: bool, calls: int
) -> None:
    def dying(ports: ChatPorts) -> ChatPorts:
        return replace(ports, **{port: Mortal(getattr(ports, port), method, after)})

    topology = laid_out([Seat(name="primary", standin=primary, price=PRICE, capabilities=CONTINUES)])
    async with ground.house(topology, ports=dying) as house:
        told = await house.ask(QUESTION)
        assert told.text == told.answer == QUESTION
        assert told.route == ["primary answered"]
        assert primary.total == calls, "the model is asked again only where its answer was lost"
        await once_and_for_all(house, told)
        assert await house.closed(told)
        assert [e.kind.ends for e in told.events].count(True) == 1


@pytest.mark.parametrize(
    ("port", "method"), [("ledger", "release"), ("store", "record_partial")], ids=["released", "kept"]
)
async def test_a_death_after_a_failure(
    ground: Ground, primary: StandIn, fallback: StandIn, port: str, method: str
) -> None:
    """The money was given back already; the attempt after it sets it aside anew, and its answer is booked."""

    def dying(ports: ChatPorts) -> ChatPorts:
        return replace(ports, **{port: Mortal(getattr(ports, port), method)})

    primary.script(Reply(fault=Fault.CUT, fault_after=2))
    topology = laid_out([Seat(name="primary", standin=primary, price=PRICE)])
    async with ground.house(topology, ports=dying) as house:
        told = await house.ask(QUESTION)
        assert told.text == told.answer == QUESTION
        assert primary.total == 2
        await once_and_for_all(house, told)
        kinds = [kind for kind, _, _ in await house.spend()]
        assert kinds == ["reserved", "released", "reserved", "settled"]


async def test_a_death_between_rungs_never_pays_the_first_again(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """The first rung's answer, which hands the question on, is recorded; then its worker dies, and the next's."""

    def dying(ports: ChatPorts) -> ChatPorts:
        return replace(ports, store=Mortal(ports.store, "record_answer", deaths=2))

    primary.script(PULL)
    fallback.default = Reply(text="because")
    topology = laid_out(
        [Seat(name="front", standin=primary, price=PRICE, capabilities=CALLS_TOOLS)],
        [Seat(name="thinker", standin=fallback, price=PRICE)],
    )
    async with ground.house(topology, ports=dying) as house:
        told = await house.ask(QUESTION, effort=8)
        assert told.route == ["front escalated", "thinker answered"]
        assert told.text == told.answer == "because"
        assert (primary.total, fallback.total) == (1, 1)
        await once_and_for_all(house, told, answers=2)


async def test_an_attempt_that_died_in_mid_answer_is_gone_on_from(ground: Ground, primary: StandIn) -> None:
    """Its text is told already; it was never kept, but the client has it."""
    primary.script(Reply(text=QUESTION, fault=Fault.CUT, fault_after=3))
    primary.default = Reply(text=QUESTION)

    def dying(ports: ChatPorts) -> ChatPorts:
        return replace(ports, store=Mortal(ports.store, "record_partial", after=False))

    topology = laid_out([Seat(name="primary", standin=primary, capabilities=CONTINUES)])
    async with ground.house(topology, ports=dying) as house:
        told = await house.ask(QUESTION)
    assert told.text == told.answer == QUESTION
    assert primary.calls[-1].body["messages"][-1] == {"role": "assistant", "content": "one two three"}
    assert primary.total == 2


async def test_an_answer_waits_for_a_store_that_is_away(ground: Ground, primary: StandIn) -> None:
    away = StoreUnavailable("PostgreSQL does not answer")

    def dying(ports: ChatPorts) -> ChatPorts:
        return replace(ports, store=Mortal(ports.store, "record_answer", after=False, error=away, deaths=2))

    topology = laid_out([Seat(name="primary", standin=primary, price=PRICE)])
    async with ground.house(topology, ports=dying) as house:
        told = await house.ask(QUESTION)
        assert told.text == told.answer == QUESTION
        assert primary.total == 1, "it is paid for, so it is not asked for again"
        await once_and_for_all(house, told)


@pytest.mark.parametrize("method", ["release", "record_partial"])
async def test_a_store_that_is_away_does_not_have_a_failed_call_repeated(
    ground: Ground, primary: StandIn, fallback: StandIn, method: str
) -> None:
    away = StoreUnavailable("PostgreSQL does not answer")

    def dying(ports: ChatPorts) -> ChatPorts:
        mortal = {"release": "ledger", "record_partial": "store"}[method]
        return replace(ports, **{mortal: Mortal(getattr(ports, mortal), method, after=False, error=away)})

    primary.script(Reply(fault=Fault.CUT, fault_after=2))
    seats = [
        Seat(name="primary", standin=primary, price=PRICE),
        Seat(name="fallback", standin=fallback, capabilities=CONTINUES),
    ]
    async with ground.house(laid_out(seats), ports=dying) as house:
        told = await house.ask(QUESTION)
        assert told.route == ["primary failed backend_unavailable", "fallback answered"]
        assert told.text == told.answer == QUESTION
        assert (primary.total, fallback.total) == (1, 1)
        (days,) = await house.rows("select reserved_nano from aither.spend_days where tenant_id = $1")
        assert days["reserved_nano"] == 0, "the turn's end has given it back"


@pytest.mark.parametrize("text", ["short", "long " * 4000], ids=["asked", "counted"])
async def test_what_nobody_foresaw_is_a_failed_rung_and_not_asked_for_again(
    ground: Ground, primary: StandIn, fallback: StandIn, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    class Broken:
        def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
            raise ZeroDivisionError

        async def count_tokens(self, messages: Sequence[Message]) -> int:
            raise ZeroDivisionError

    def broken(ports: ChatPorts) -> ChatPorts:
        assert isinstance(ports.seats, Desk)
        next(m for m in ports.seats.members() if m.name == "primary").client = Broken()
        return ports

    seats = [
        Seat(name="primary", standin=primary),
        Seat(name="fallback", standin=fallback, window_tokens=100_000),
    ]
    async with ground.house(laid_out(seats), ports=broken) as house:
        told = await house.ask(text)
    assert told.route == ["primary failed backend_error", "fallback answered"]
    assert "ZeroDivisionError" in caplog.text


async def test_a_backend_that_is_no_longer_configured_is_a_rung_without_an_answer(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    seats = [Seat(name="primary", standin=primary), Seat(name="fallback", standin=fallback)]
    topology = laid_out(seats)

    def later(ports: ChatPorts) -> ChatPorts:
        assert isinstance(ports.seats, Desk)
        desk = Desk(ports.breakers)
        desk.pools = {name: p for name, p in ports.seats.pools.items() if "primary" not in p.members}
        return replace(ports, topology=replace(topology, backends=topology.backends[1:]), seats=desk)

    async with ground.house(topology, ports=later) as house:
        told = await house.ask(QUESTION)
    assert told.route == ["primary skipped model_missing", "fallback answered"]
    assert primary.connections == 0
