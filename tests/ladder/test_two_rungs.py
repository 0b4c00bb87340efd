"""A backend that fails in any way costs a hop: the next rung answers, and the failure costs nothing."""

import time

import pytest

from activities.contracts.events import EventKind
from activities.contracts.topology import Topology
from tests.ladder.seats import CONTINUES, PRICE, Seat, laid_out
from tests.support.house import Ground, House
from tests.support.standin import Fault, Reply, StandIn

SILENCE_S = 1.5
"""Long enough for a healthy backend on a busy machine, and waited out only where a backend says nothing."""
PATIENCE_S = 15.0
QUESTION = "one two three four five"

FAULTS: dict[str, tuple[Reply, str]] = {
    "429": (Reply(status=429), "backend_rate_limited"),
    "500": (Reply(status=500), "backend_unavailable"),
    "503": (Reply(status=503), "backend_unavailable"),
    "400": (Reply(status=400, error="temperature must be at most 2"), "backend_rejected"),
    "401": (Reply(status=401), "backend_refused_key"),
    "404": (Reply(status=404, error="The model `x` does not exist."), "model_missing"),
    "too long": (Reply(status=400, error_code="context_length_exceeded"), "context_too_long"),
    "reset": (Reply(fault=Fault.RESET), "backend_unavailable"),
    "silence": (Reply(fault=Fault.SILENCE), "backend_timed_out"),
    "web page": (Reply(fault=Fault.NOT_JSON), "answer_malformed"),
    "wrong model": (Reply(model="another-model"), "model_replaced"),
    "silence midway": (Reply(fault=Fault.SILENCE, fault_after=3), "backend_timed_out"),
    "reset midway": (Reply(fault=Fault.RESET, fault_after=3), "backend_unavailable"),
    "cut midway": (Reply(fault=Fault.CUT, fault_after=3), "backend_unavailable"),
    "malformed midway": (Reply(fault=Fault.MALFORMED, fault_after=3), "answer_malformed"),
    "error midway": (Reply(fault=Fault.ERROR_CHUNK, fault_after=3), "backend_unavailable"),
    "slow": (Reply(pace_s=1.0), "backend_timed_out"),
    "unknown end": (Reply(finish_reason="bored"), "answer_malformed"),
    "stray tool": (Reply(tool_calls=(("reason", "{}"),)), "answer_malformed"),
}


def two(primary: StandIn, fallback: StandIn, call_s: float = PATIENCE_S) -> Topology:
    return laid_out(
        [
            Seat(name="primary", standin=primary, call_s=call_s, price=PRICE),
            Seat(
                name="fallback",
                standin=fallback,
                call_s=PATIENCE_S,
                price=PRICE,
                capabilities=CONTINUES,
                window_tokens=16384,
            ),
        ]
    )


async def settled(house: House) -> list[str]:
    """Whose answers were paid for; the ledger must hold nothing that is still set aside."""
    spend = await house.spend()
    booked = [backend for kind, backend, nano in spend if kind == "settled" and nano > 0]
    assert not [nano for kind, _, nano in spend if kind == "released" and nano], "a failed call was billed"
    (days,) = await house.rows("select spent_nano, reserved_nano from aither.spend_days where tenant_id = $1")
    assert days["reserved_nano"] == 0
    assert days["spent_nano"] == sum(nano for kind, _, nano in spend if kind == "settled")
    return booked


@pytest.mark.parametrize("name", FAULTS)
async def test_the_next_rung_answers_and_the_next_turn_is_served(
    ground: Ground, primary: StandIn, fallback: StandIn, name: str
) -> None:
    reply, code = FAULTS[name]
    primary.script(reply)
    # A slow answer is never silent for long, and ends with the time for its call.
    call_s = 2.5 if name == "slow" else PATIENCE_S
    async with ground.house(two(primary, fallback, call_s), silence_s=SILENCE_S) as house:
        began = time.monotonic()
        told = await house.ask(QUESTION)
        assert time.monotonic() - began < PATIENCE_S
        assert told.route == [f"primary failed {code}", "fallback answered"]
        assert told.text == told.answer == QUESTION
        assert (primary.total, fallback.total) == (1, 1)
        assert await settled(house) == ["fallback"]
        ended = [e.data["why"] for e in told.events if e.kind is EventKind.HOP_ENDED]
        assert ended == [hop["why"] for hop in told.view["route"]]
        if name == "wrong model":
            assert "primary-model" in ended[0]
            assert "another-model" in ended[0]
            assert told.kinds(1) == [EventKind.HOP_STARTED, EventKind.HOP_ENDED]

        told = await house.ask("and again")
        assert told.route == ["primary answered"]
        assert told.text == told.answer == "and again"
        assert await settled(house) == ["fallback", "primary"]


async def test_an_empty_answer_climbs_and_is_paid_for_as_its_backend_counts(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """It failed the turn but not the call: what it burnt on thinking is on the provider's bill."""
    primary.script(Reply(text="", reasoning="hm, hm, hm"))
    async with ground.house(two(primary, fallback)) as house:
        told = await house.ask(QUESTION)
        assert told.route == ["primary escalated empty", "fallback answered"]
        assert told.text == told.answer == QUESTION
        assert await settled(house) == ["primary", "fallback"]
        assert (await house.ask("and again")).route == ["primary answered"]


async def test_a_refused_connection_is_a_hop_and_heals(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    async with ground.house(two(primary, fallback)) as house:
        await primary.refuse()
        told = await house.ask(QUESTION)
        assert told.route == ["primary failed backend_unavailable", "fallback answered"]
        assert told.answer == QUESTION
        await primary.accept()
        assert (await house.ask(QUESTION)).route == ["primary answered"]


async def test_who_asks_to_be_left_alone_is_left_alone(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.script(Reply(status=429, retry_after="30"))
    async with ground.house(two(primary, fallback)) as house:
        first = await house.ask(QUESTION)
        assert first.route == ["primary failed backend_rate_limited", "fallback answered"]
        for _ in range(3):
            told = await house.ask(QUESTION)
            assert told.route == ["primary skipped breaker_open", "fallback answered"]
            assert "asked to be left alone for 30 s" in told.view["route"][0]["why"]
    assert primary.total == 1


async def test_a_request_that_a_model_rejects_is_not_sent_to_the_same_model_elsewhere(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    primary.default = Reply(status=400, error="messages: too strange")
    fallback.default = Reply(status=400, error="messages: too strange")
    twin = [Seat(name=name, standin=primary, model="twin-model") for name in ("left", "right")]
    other = Seat(name="other", standin=fallback)
    async with ground.house(laid_out([*twin, other], [*twin])) as house:
        told = await house.ask(QUESTION, effort=8)
    assert told.status == "failed"
    assert told.error == "backend_rejected"
    assert told.route == [
        "left failed backend_rejected",
        "right skipped already_refused",
        "other failed backend_rejected",
        "left skipped already_refused",
        "right skipped already_refused",
    ]
    assert (primary.total, fallback.total) == (1, 1)
