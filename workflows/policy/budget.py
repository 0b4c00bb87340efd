"""Money: what a call may cost at most, what it did cost, and whether it may be made at all.

Counted in whole nano-dollars (1e-9 USD), so that sums are exact and settling neither makes nor loses any: a
price per million tokens counts to a millionth of a dollar, and a cost is rounded up to the next nano-dollar.
Sums stay exact in JSON up to nine million dollars.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from activities.contracts.backends import Price
from activities.contracts.chat import Usage
from activities.contracts.policy import Caps, Spending

NANO = 1_000_000_000
_PICO_A_NANO = 1_000


class Cap(StrEnum):
    """The spans that are capped, in the order in which they are asked."""

    TURN = "turn"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """The call fits under every cap, with all that is reserved counted in."""

    estimate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The call could exceed a cap. `left` nano-dollars remain under it."""

    cap: Cap
    left: int
    why: str


def to_nano(usd: float) -> int:
    """Dollars as nano-dollars, to the nearest; ValueError for what no one can owe."""
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"an amount of money is finite and not negative, not {usd}")
    return round(usd * NANO)


def to_usd(nano: int) -> float:
    """Nano-dollars as dollars."""
    return nano / NANO


def cost(usage: Usage, price: Price | None) -> int:
    """What the tokens cost, in nano-dollars. Cached tokens without a price of their own cost like any."""
    if price is None:
        return 0
    prompt = max(0, usage.prompt_tokens)
    cached = min(max(0, usage.cached_tokens), prompt)
    cached_usd = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    pico = (
        (prompt - cached) * _pico_a_token(price.input_usd)
        + cached * _pico_a_token(cached_usd)
        + max(0, usage.completion_tokens) * _pico_a_token(price.output_usd)
    )
    return -(-pico // _PICO_A_NANO)


def most(prompt_tokens: int, max_tokens: int, price: Price | None) -> int:
    """What a call can cost at most, in nano-dollars: nothing cached, every token of the answer used.

    Holds as long as the backend counts no more prompt tokens than were estimated.
    """
    if price is None:
        return 0
    dearest = max(price.input_usd, price.cached_input_usd or 0.0)
    return cost(
        Usage(prompt_tokens=prompt_tokens, completion_tokens=max_tokens),
        replace(price, input_usd=dearest, cached_input_usd=None),
    )


def cost_elsewhere(usage: Usage, reference: Price) -> int:
    """What the same tokens would have cost on a reference model without a warm cache, in nano-dollars."""
    return cost(replace(usage, cached_tokens=0), reference)


def admit(estimate: int, spending: Spending, caps: Caps) -> Admit | Refuse:
    """Whether a call of at most `estimate` nano-dollars fits. What costs nothing always fits."""
    if estimate <= 0:
        return Admit(estimate=0)
    spans = (
        (Cap.TURN, caps.turn_usd, spending.turn_spent + spending.turn_reserved),
        (Cap.DAY, caps.tenant_day_usd, spending.day_spent + spending.day_reserved),
        (Cap.MONTH, caps.tenant_month_usd, spending.month_spent + spending.month_reserved),
    )
    for cap, usd, used in spans:
        if usd is None:
            continue
        left = to_nano(usd) - used
        if estimate > left:
            shown = max(0, left)
            why = f"up to ${to_usd(estimate):.6f} with ${to_usd(shown):.6f} left of the {cap}'s ${usd:g}"
            return Refuse(cap=cap, left=shown, why=why)
    return Admit(estimate=estimate)


def reserve(spending: Spending, estimate: int) -> Spending:
    """Sets an admitted estimate aside."""
    return replace(
        spending,
        turn_reserved=spending.turn_reserved + estimate,
        day_reserved=spending.day_reserved + estimate,
        month_reserved=spending.month_reserved + estimate,
    )


def settle(spending: Spending, reserved: int, actual: int) -> Spending:
    """Puts what a call cost in the place of what was set aside for it; 0 where it failed."""
    return Spending(
        turn_spent=spending.turn_spent + actual,
        turn_reserved=spending.turn_reserved - reserved,
        day_spent=spending.day_spent + actual,
        day_reserved=spending.day_reserved - reserved,
        month_spent=spending.month_spent + actual,
        month_reserved=spending.month_reserved - reserved,
    )


def _pico_a_token(usd_a_million: float) -> int:
    """Pico-dollars a token: a millionth of a dollar a million tokens is one."""
    if not math.isfinite(usd_a_million) or usd_a_million < 0:
        raise ValueError(f"a price is finite and not negative, not {usd_a_million}")
    return round(usd_a_million * 1_000_000)
