"""Money and other policy: set aside before a call, never more than a cap allows, exact to the nano-dollar."""

import asyncio

import pytest

from activities.contracts.backends import Price
from activities.contracts.chat import Sampling
from activities.contracts.policy import Caps, TurnPolicy
from activities.contracts.topology import Reference
from tests.ladder.seats import PRICE, Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import Ground, House
from tests.support.standin import Fault, Reply, StandIn

NANO = 1_000_000_000
QUESTION = "one two three four five"
PRICE_OF_IT = 8 * 2_000 + 5 * 10_000
"""Nano-dollars: the stand-in counts 8 prompt tokens and 5 of the answer."""


def usd(nano: int) -> float:
    return nano / NANO


async def days(house: House) -> tuple[int, int]:
    (row,) = await house.rows("select spent_nano, reserved_nano from aither.spend_days where tenant_id = $1")
    return row["spent_nano"], row["reserved_nano"]


async def books(house: House) -> int:
    """What the ledger says was spent; the sums beside it must say the same, and nothing be set aside."""
    settled = sum(nano for kind, _, nano in await house.spend() if kind == "settled")
    assert await days(house) == (settled, 0)
    return settled


async def test_a_turn_costs_what_its_tokens_cost(ground: Ground, primary: StandIn) -> None:
    reference = Reference(model="dear", price=Price(input_usd=4.0, output_usd=20.0, read_on="2026-11-01"))
    topology = laid_out([Seat(name="cloud", standin=primary, cloud=True, price=PRICE)], reference=reference)
    async with ground.house(topology) as house:
        told = await house.ask(QUESTION)
        assert await books(house) == PRICE_OF_IT
        assert told.view["cost_usd"] == pytest.approx(usd(PRICE_OF_IT), abs=1e-12)
        assert told.view["reference_cost_usd"] == pytest.approx(2 * usd(PRICE_OF_IT), abs=1e-12)
        assert told.view["route"][0]["cost_usd"] == pytest.approx(usd(PRICE_OF_IT), abs=1e-12)
        (reserved, settled) = await house.spend()
        assert reserved[0] == "reserved" and reserved[2] >= settled[2]


@pytest.mark.parametrize("span", ["turn", "day", "month"])
async def test_a_cap_lets_through_what_fits_and_not_a_nano_dollar_more(
    ground: Ground, primary: StandIn, fallback: StandIn, span: str
) -> None:
    """What the call can cost at most is what counts; a rung without a price is there for whoever cannot pay."""
    seats = [Seat(name="dear", standin=primary, price=PRICE), Seat(name="free", standin=fallback)]
    async with ground.house(laid_out(seats)) as house:
        await house.ask(QUESTION)
        spent = await books(house)
        most = (await house.spend())[0][2] + (spent if span != "turn" else 0)
        name = {"turn": "turn_usd", "day": "tenant_day_usd", "month": "tenant_month_usd"}[span]

        def within(nano: int) -> TurnPolicy:
            return TurnPolicy(caps=Caps(**{name: usd(nano)}))

        told = await house.ask(QUESTION, policy=within(most - 1))
        assert told.route == ["dear skipped over_budget", "free answered"]
        assert span in told.view["route"][0]["why"]
        told = await house.ask(QUESTION, policy=within(most))
        assert told.route == ["dear answered"]
        assert await books(house) == 2 * PRICE_OF_IT
    assert (primary.total, fallback.total) == (2, 1)


async def test_fifty_turns_at_once_never_spend_more_than_the_cap(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """Some answer, some break off, some are asked twice: what is spent and set aside stays below the cap."""
    cap = 20 * PRICE_OF_IT
    faults = [Reply(status=503), Reply(fault=Fault.CUT, fault_after=2), Reply(status=400)]
    primary.script(*(faults[n // 3] if n % 3 == 0 and n < 9 else Reply() for n in range(50)))
    policy = TurnPolicy(caps=Caps(tenant_day_usd=usd(cap)))
    seats = [
        Seat(name="dear", standin=primary, price=PRICE, slots=50, call_s=20, patience_s=20),
        Seat(name="free", standin=fallback, slots=50, call_s=20, patience_s=20),
    ]
    sampling = Sampling(max_tokens=8)
    async with ground.house(laid_out(seats)) as house:
        most_seen = 0

        async def ask(number: int) -> Told:
            nonlocal most_seen
            told = await house.ask(QUESTION, policy=policy, sampling=sampling)
            most_seen = max(most_seen, sum(await days(house)))
            return told

        turns = await asyncio.gather(*(ask(number) for number in range(50)))
        spent = await books(house)
        assert all(told.text == told.answer == QUESTION for told in turns)
        assert most_seen <= cap
        dear = [told for told in turns if told.route == ["dear answered"]]
        assert spent == len(dear) * PRICE_OF_IT
        assert 5 <= len(dear) <= 20, "the cap is used, too"

        # One at a time, the rest of the money goes as far as it goes.
        while (told := await house.ask(QUESTION, policy=policy, sampling=sampling)).route == [
            "dear answered"
        ]:
            assert await books(house) <= cap
        assert told.route == ["dear skipped over_budget", "free answered"]


async def test_a_cancelled_turn_gives_back_what_was_set_aside(ground: Ground, primary: StandIn) -> None:
    primary.default = Reply(hold_after=2)
    async with ground.house(laid_out([Seat(name="dear", standin=primary, price=PRICE)])) as house:
        told = await house.begin(QUESTION)
        await primary.arrived()
        assert (await days(house))[1] > 0
        await house.cancel(told)
        await house.follow(told)
        await house.closed(told)
        assert await books(house) == 0


async def test_the_tools_of_a_call_are_counted_before_it_is_made(ground: Ground, primary: StandIn) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "description": "long " * 300}}
    async with ground.house(laid_out([Seat(name="dear", standin=primary, price=PRICE)])) as house:
        await house.ask(QUESTION)
        await house.ask(QUESTION, sampling=Sampling(tools=(tool,)))
        plain, _, tools, _ = await house.spend()
    assert tools[2] - plain[2] >= 1500 * 2_000, "at a token a byte and 2000 nano-dollars a token"


async def test_a_cloud_rung_without_a_price_is_not_asked_where_money_is_capped(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    seats = [Seat(name="cloud", standin=primary, cloud=True), Seat(name="local", standin=fallback)]
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask(policy=TurnPolicy(caps=Caps(turn_usd=1.0)))
        assert told.route == ["cloud skipped price_unknown", "local answered"]
    assert primary.connections == 0


async def test_a_rung_too_small_for_the_prompt_is_not_tried(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    seats = [
        Seat(name="small", standin=primary, window_tokens=256),
        Seat(name="large", standin=fallback, window_tokens=65_536),
    ]
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask("word " * 1000, prompt_tokens=1100)
        assert told.route == ["small skipped window_too_small", "large answered"]
        # Where the estimate was too low, the worker counts before it calls.
        told = await house.ask("word " * 1000)
        assert told.route == ["small failed context_too_long", "large answered"]
    assert primary.total == 0


async def test_allow_lists_bound_who_is_asked(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    seats = [Seat(name="first", standin=primary), Seat(name="second", standin=fallback)]
    async with ground.house(laid_out(seats)) as house:
        for policy in (
            TurnPolicy(allowed_backends=("second",)),
            TurnPolicy(allowed_models=("second-model",)),
        ):
            told = await house.ask(policy=policy)
            assert told.route == ["first skipped not_allowed", "second answered"]
        told = await house.ask(policy=TurnPolicy(allowed_models=()))
        assert told.error == "not_allowed"
    assert primary.connections == 0
