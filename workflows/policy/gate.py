"""The questions before each rung: may it leave the building, does it fit the money, must someone agree, is
its window large enough, does its breaker let calls through. The first "no" is the reason that is recorded.
"""

from dataclasses import dataclass

from activities.contracts.backends import Locality, Rung
from activities.contracts.policy import BackendTerms, ClimbPlan, TurnPolicy
from workflows.policy.budget import Admit, Refuse, admit, most, to_nano, to_usd
from workflows.policy.climb import Climb, Sight, SkipCode

_BARRED = {str(code): code for code in (SkipCode.NOBODY_UP, SkipCode.CARD_ASLEEP)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """The rung may be asked, for so many tokens, with so many nano-dollars set aside."""

    max_tokens: int
    reserve_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """The rung may not be asked. `again_in_s` is set where that passes by itself."""

    code: SkipCode
    why: str
    again_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsAgreement:
    """The rung may be asked once someone agrees."""

    reserve_nano: int
    why: str


def gate(plan: ClimbPlan, climb: Climb, sight: Sight, rung: Rung) -> Clear | Shut | NeedsAgreement:
    """Whether the rung may be asked now. Nobody is bothered to agree to a call that could not be made."""
    terms = terms_of(plan, rung)
    room = max(0, terms.window_tokens - sight.prompt_tokens)
    tokens = max(1, min(sight.answer_tokens, room))
    fits = admit(most(sight.prompt_tokens, tokens, terms.price), sight.spending, plan.policy.caps)
    shut = (
        refused_before(climb, rung)
        or forbidden(plan, rung)
        or _money(plan.policy, terms, rung, fits)
        or _disagreed(climb, rung)
        or _window(plan, climb, sight, terms)
        or _breaker(sight, rung)
    )
    if shut:
        return shut
    reserve = fits.estimate if isinstance(fits, Admit) else 0
    wanted = None if rung.name in climb.agreed else _agreement_wanted(plan.policy, rung, reserve)
    if wanted:
        return NeedsAgreement(reserve_nano=reserve, why=wanted)
    return Clear(max_tokens=tokens, reserve_nano=reserve)


def terms_of(plan: ClimbPlan, rung: Rung) -> BackendTerms:
    """The terms of a rung's backend; KeyError for a plan that lacks them."""
    for terms in plan.terms:
        if terms.backend == rung.backend:
            return terms
    raise KeyError(rung.backend)


def refused_before(climb: Climb, rung: Rung) -> Shut | None:
    """Whether this model has refused this very request, or this backend our key."""
    if rung.model in climb.rejected_models:
        return Shut(code=SkipCode.ALREADY_REFUSED, why=f"{rung.model} has refused this request")
    if rung.backend in climb.refused_backends:
        return Shut(code=SkipCode.ALREADY_REFUSED, why=f"{rung.backend} has refused our key")
    return None


def forbidden(plan: ClimbPlan, rung: Rung) -> Shut | None:
    """Whether the turn's policy rules the rung out whatever happens."""
    policy = plan.policy
    if policy.local_only and rung.locality is not Locality.LOCAL:
        return Shut(code=SkipCode.LOCAL_ONLY, why="the turn may not leave the building")
    if policy.allowed_backends is not None and rung.backend not in policy.allowed_backends:
        return Shut(code=SkipCode.NOT_ALLOWED, why=f"backend {rung.backend} is not on the allow-list")
    if policy.allowed_models is not None and rung.model not in policy.allowed_models:
        return Shut(code=SkipCode.NOT_ALLOWED, why=f"model {rung.model} is not on the allow-list")
    return None


def _money(policy: TurnPolicy, terms: BackendTerms, rung: Rung, fits: Admit | Refuse) -> Shut | None:
    caps = policy.caps
    capped = (caps.turn_usd, caps.tenant_day_usd, caps.tenant_month_usd) != (None, None, None)
    if terms.price is None and rung.locality is Locality.CLOUD and capped:
        return Shut(code=SkipCode.PRICE_UNKNOWN, why=f"{rung.backend} has no price and money is capped")
    if isinstance(fits, Refuse):
        return Shut(code=SkipCode.OVER_BUDGET, why=fits.why)
    return None


def _disagreed(climb: Climb, rung: Rung) -> Shut | None:
    if rung.name in climb.disagreed:
        return Shut(code=SkipCode.NOT_AGREED, why="nobody agreed")
    return None


def _window(plan: ClimbPlan, climb: Climb, sight: Sight, terms: BackendTerms) -> Shut | None:
    need = sight.prompt_tokens + min(sight.answer_tokens, plan.least_answer_tokens)
    if need > terms.window_tokens:
        why = f"{need} tokens are needed, its window holds {terms.window_tokens}"
        return Shut(code=SkipCode.WINDOW_TOO_SMALL, why=why)
    if terms.window_tokens <= climb.outgrown_tokens:
        why = f"{climb.outgrown_tokens} tokens were too few, its window holds {terms.window_tokens}"
        return Shut(code=SkipCode.WINDOW_TOO_SMALL, why=why)
    return None


def _breaker(sight: Sight, rung: Rung) -> Shut | None:
    for barred in sight.barred:
        if barred.backend == rung.backend:
            code = _BARRED.get(barred.code, SkipCode.BREAKER_OPEN)
            # A card sleeps until somebody wakes it, which is not waited for.
            again = None if code is SkipCode.CARD_ASLEEP else barred.retry_in_s
            return Shut(code=code, why=barred.why, again_in_s=again)
    return None


def _agreement_wanted(policy: TurnPolicy, rung: Rung, reserve: int) -> str | None:
    if policy.approve_cloud and rung.locality is not Locality.LOCAL:
        return "a call that leaves the building needs someone's agreement"
    limit = policy.approve_above_usd
    if limit is not None and reserve > to_nano(limit):
        return f"a call of up to ${to_usd(reserve):.6f} needs someone's agreement above ${limit:g}"
    return None
