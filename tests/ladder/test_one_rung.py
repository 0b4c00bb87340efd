"""A single rung that fails: waited for where that may help, a bounded number of times, and never hammered."""

import itertools
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest

from activities.contracts.policy import RepeatRules
from activities.contracts.topology import Topology
from tests.ladder.seats import PRICE, Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

QUESTION = "one two three four five"
SILENCE_S = 1.5
"""Long enough for a healthy backend on a busy machine, and waited out only where a backend says nothing."""
BUDGET_S = 15.0


@dataclass(frozen=True)
class Case:
    """The replies to the first calls (the last one for good, unless it `heals`), and what comes of them."""

    replies: tuple[Reply, ...]
    calls: int
    heals: bool = False
    error: str = ""
    codes: tuple[str, ...] = ()


def lasting(reply: Reply, calls: int, error: str) -> Case:
    return Case((reply,), calls, error=error)


CASES = {
    "500 once": Case((Reply(status=500),), 2, heals=True),
    "429 once": Case((Reply(status=429),), 2, heals=True),
    "429 that says when": Case((Reply(status=429, retry_after="0.2"),), 2, heals=True),
    "reset twice": Case((Reply(fault=Fault.RESET),) * 2, 3, heals=True),
    "cut midway": Case((Reply(fault=Fault.CUT, fault_after=3),), 2, heals=True),
    "error midway": Case((Reply(fault=Fault.ERROR_CHUNK, fault_after=2),), 2, heals=True),
    "503 for long": lasting(Reply(status=503), 3, "backend_unavailable"),
    "429 for long": lasting(Reply(status=429), 3, "backend_rate_limited"),
    "429 for an hour": lasting(Reply(status=429, retry_after="3600"), 1, "backend_rate_limited"),
    "silence": lasting(Reply(fault=Fault.SILENCE), 1, "backend_timed_out"),
    "silence midway": lasting(Reply(fault=Fault.SILENCE, fault_after=3), 1, "backend_timed_out"),
    "malformed": lasting(Reply(fault=Fault.MALFORMED, fault_after=2), 1, "answer_malformed"),
    "empty": lasting(Reply(text=""), 1, "answer_empty"),
    "wrong model": lasting(Reply(model="another-model"), 1, "model_replaced"),
    "rejected": lasting(Reply(status=422), 1, "backend_rejected"),
    "wrong key": lasting(Reply(status=401), 1, "backend_refused_key"),
}


def one(primary: StandIn) -> Topology:
    return laid_out([Seat(name="primary", standin=primary, call_s=BUDGET_S, price=PRICE)])


@pytest.mark.parametrize("name", CASES)
async def test_it_ends_in_time_and_the_next_turn_works(ground: Ground, primary: StandIn, name: str) -> None:
    case = CASES[name]
    if case.heals:
        primary.script(*case.replies)
    else:
        primary.default = case.replies[-1]
    async with ground.house(one(primary), silence_s=SILENCE_S) as house:
        began = time.monotonic()
        told = await house.ask(QUESTION)
        assert time.monotonic() - began < BUDGET_S
        assert primary.total == case.calls
        (days,) = await house.rows("select reserved_nano from aither.spend_days where tenant_id = $1")
        assert days["reserved_nano"] == 0
        booked = [nano for kind, _, nano in await house.spend() if kind == "settled"]
        if case.heals:
            assert told.route[-1] == "primary answered"
            assert len(told.route) == case.calls
            assert told.text == told.answer == QUESTION
            assert len(booked) == 1
        else:
            assert told.status == "failed"
            assert told.error == case.error
            assert len(told.route) == case.calls
            assert "primary" in told.view["error"]["message"]
            assert booked == ([] if name != "empty" else booked)
    primary.default = Reply()
    async with ground.house(one(primary), silence_s=SILENCE_S) as house:
        assert (await house.ask("and again")).answer == "and again"


async def test_who_says_when_is_not_asked_before(ground: Ground, primary: StandIn) -> None:
    primary.script(Reply(status=503, retry_after="0.4"))
    async with ground.house(one(primary)) as house:
        assert (await house.ask(QUESTION)).answer == QUESTION
    first, second = primary.calls
    assert second.at - first.at >= 0.4


async def test_waits_grow_and_are_bounded_for_the_whole_turn(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(status=503)
    topology = laid_out(
        [Seat(name="primary", standin=primary)],
        repeats=RepeatRules(times=3, first=timedelta(milliseconds=100)),
    )
    async with ground.house(topology) as house:
        told = await house.ask(QUESTION)
    # With the third failure in a row its breaker opens, for longer than the last wait.
    assert told.route == ["primary failed backend_unavailable"] * 3 + ["primary skipped breaker_open"]
    assert "backend_unavailable" in told.view["error"]["message"]
    gaps = [after.at - before.at for before, after in itertools.pairwise(primary.calls)]
    assert [gap >= least for gap, least in zip(gaps, (0.1, 0.2), strict=True)] == [True, True]


async def test_a_rung_without_room_is_left_in_time(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(hold_after=0)
    seat = Seat(name="primary", standin=primary, slots=1, patience_s=0.3)
    async with ground.house(laid_out([seat]), silence_s=5.0) as house:
        first = await house.begin("first")
        await primary.arrived(1)
        told = await house.ask("second")
        assert told.status == "failed"
        assert told.error == "no_room"
        assert set(told.route) == {"primary skipped no_room"}
        assert primary.total == 1
        primary.release()
        assert (await house.follow(first)).answer == "first"
