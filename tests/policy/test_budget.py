from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.backends import Price
from activities.contracts.chat import Usage
from activities.contracts.policy import Caps, Spending
from workflows.policy.budget import (
    Admit,
    Cap,
    Refuse,
    admit,
    cost,
    cost_elsewhere,
    most,
    reserve,
    settle,
    to_nano,
    to_usd,
)

FLASH = Price(input_usd=0.15, output_usd=0.60, cached_input_usd=0.003, read_on="2026-11-01")
TOKENS = st.integers(0, 2_000_000)
MICRO = st.integers(0, 100_000_000).map(lambda micro: micro / 1_000_000)
PRICES = st.builds(
    Price,
    input_usd=MICRO,
    output_usd=MICRO,
    cached_input_usd=st.none() | MICRO,
    read_on=st.just("2026-11-01"),
)
USAGES = st.builds(Usage, prompt_tokens=TOKENS, completion_tokens=TOKENS, cached_tokens=TOKENS)


def test_a_cost_by_hand() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert to_usd(cost(usage, FLASH)) == pytest.approx(0.6 * 0.15 + 0.4 * 0.003 + 0.1 * 0.60, abs=1e-9)
    assert cost(usage, None) == 0
    assert cost_elsewhere(usage, FLASH) == to_nano(0.15 + 0.06)


@given(usage=USAGES, price=PRICES)
def test_a_cost_is_exact_to_a_nano_dollar(usage: Usage, price: Price) -> None:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_usd = price.input_usd if price.cached_input_usd is None else price.cached_input_usd

    def exact(usd: float) -> Fraction:
        return Fraction(Decimal(str(usd))) / 1_000_000

    dollars = (
        (usage.prompt_tokens - cached) * exact(price.input_usd)
        + cached * exact(cached_usd)
        + usage.completion_tokens * exact(price.output_usd)
    )
    nano = dollars * 10**9
    rounded = Decimal(nano.numerator) / Decimal(nano.denominator)
    assert cost(usage, price) == int(rounded.to_integral_value(ROUND_CEILING))


@given(usage=USAGES, price=PRICES, spare=st.integers(0, 1000))
def test_no_call_costs_more_than_its_estimate(usage: Usage, price: Price, spare: int) -> None:
    ceiling = most(usage.prompt_tokens, usage.completion_tokens + spare, price)
    assert 0 <= cost(usage, price) <= ceiling
    assert most(usage.prompt_tokens, usage.completion_tokens, None) == 0


@settings(max_examples=150)
@given(
    calls=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.booleans()), max_size=40),
    caps=st.builds(
        Caps,
        turn_usd=st.sampled_from([None, 0.5, 2.0]),
        tenant_day_usd=st.sampled_from([None, 1.0, 3.0]),
        tenant_month_usd=st.none() | st.floats(0, 5),
    ),
    data=st.data(),
)
def test_concurrent_calls_never_pass_a_cap_and_the_books_balance(
    calls: list[tuple[int, int, bool]], caps: Caps, data: st.DataObject
) -> None:
    spending, flying, paid = Spending(), list[tuple[int, int]](), 0
    for estimate, share, failed in calls:
        if isinstance(admit(estimate, spending, caps), Admit):
            spending = reserve(spending, estimate)
            flying.append((estimate, 0 if failed else min(share, estimate)))
        if flying and data.draw(st.booleans()):
            estimate, actual = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            spending, paid = settle(spending, estimate, actual), paid + actual
        for usd, used in (
            (caps.turn_usd, spending.turn_spent + spending.turn_reserved),
            (caps.tenant_day_usd, spending.day_spent + spending.day_reserved),
            (caps.tenant_month_usd, spending.month_spent + spending.month_reserved),
        ):
            assert usd is None or used <= to_nano(usd)
    for estimate, actual in flying:
        spending, paid = settle(spending, estimate, actual), paid + actual
    assert (spending.turn_spent, spending.day_spent, spending.month_spent) == (paid, paid, paid)
    assert (spending.turn_reserved, spending.day_reserved, spending.month_reserved) == (0, 0, 0)


@pytest.mark.parametrize("caps", [Caps(turn_usd=1), Caps(tenant_day_usd=1), Caps(tenant_month_usd=1)])
def test_a_call_in_flight_counts_like_one_that_was_paid(caps: Caps) -> None:
    spending = reserve(Spending(), to_nano(0.6))
    assert isinstance(admit(to_nano(0.6), spending, caps), Refuse)
    assert isinstance(admit(to_nano(0.6), settle(spending, to_nano(0.6), to_nano(0.1)), caps), Admit)


def test_a_refusal_names_the_cap_and_what_is_left() -> None:
    spending = Spending(day_spent=to_nano(0.9), day_reserved=to_nano(0.05))
    refusal = admit(to_nano(0.06), spending, Caps(turn_usd=1, tenant_day_usd=1))
    assert isinstance(refusal, Refuse)
    assert (refusal.cap, refusal.left) == (Cap.DAY, to_nano(0.05))
    assert "day" in refusal.why
    assert isinstance(admit(to_nano(0.05), spending, Caps(tenant_day_usd=1)), Admit)


def test_what_is_free_fits_even_an_overdrawn_account() -> None:
    overdrawn = Spending(month_spent=to_nano(10))
    assert isinstance(admit(0, overdrawn, Caps(tenant_month_usd=1)), Admit)
    assert isinstance(admit(1, overdrawn, Caps(tenant_month_usd=1)), Refuse)


@given(nano=st.integers(0, 9 * 10**15))
def test_an_amount_survives_being_written_as_dollars(nano: int) -> None:
    assert abs(to_nano(to_usd(nano)) - nano) <= 1


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_amounts_that_nobody_can_owe_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_nano(wrong)
    with pytest.raises(ValueError, match="finite"):
        cost(Usage(prompt_tokens=1), Price(input_usd=wrong, output_usd=0, read_on="2026-11-01"))
