"""However much is said and however long the climb, a turn's history stays small, and holds none of the text."""

import pytest

from activities.contracts.policy import TurnPolicy
from tests.ladder.seats import CALLS_TOOLS, CONTINUES, PRICE, Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

LONG = "Confidential: " + "a word " * 10_000
PULL = Reply(tool_calls=(("reason", '{"question": "Confidential?"}'),))
CASES: dict[str, tuple[list[Reply], int, int, int]] = {
    # What the orchestrator says first, the effort, most events, most bytes.
    "answered": ([], 3, 12, 8_000),
    "cut and gone on from": ([Reply(text=LONG, fault=Fault.CUT, fault_after=100)], 3, 18, 14_000),
    "escalated": ([PULL], 8, 18, 14_000),
    "composed": ([PULL, Reply(text=LONG)], 8, 24, 20_000),
    "climbed": ([Reply(text="")], 3, 18, 14_000),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_history_is_small(ground: Ground, primary: StandIn, fallback: StandIn, name: str) -> None:
    replies, effort, most_events, most_bytes = CASES[name]
    primary.script(*replies)
    fallback.default = Reply(text=LONG)
    window = 1_000_000
    seats = [
        Seat(name="orchestrator", standin=primary, capabilities=CALLS_TOOLS, window_tokens=window),
        Seat(name="standby", standin=fallback, capabilities=CONTINUES, window_tokens=window),
    ]
    reason = [
        Seat(name=f"reasoner-{n}", standin=fallback, price=PRICE, window_tokens=window) for n in range(3)
    ]
    async with ground.house(laid_out(seats, reason)) as house:
        policy = TurnPolicy(compose=name == "composed")
        told = await house.ask("Question: " + LONG, effort=effort, policy=policy)
        assert told.status == "completed"
        assert told.text == told.answer
        await house.closed(told)
        history = await house.handle(told).fetch_history()
    size = sum(event.ByteSize() for event in history.events)
    assert len(history.events) <= most_events, [event.event_type for event in history.events]
    assert size <= most_bytes, size
    assert b"word word" not in b"".join(event.SerializeToString() for event in history.events)
