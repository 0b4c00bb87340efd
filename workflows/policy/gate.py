"""The questions before each rung: may it leave the building, does it fit the money, must someone agree, is
its window large enough, does its breaker let calls through. The first "no" is the reason that is recorded.
"""

from dataclasses import dataclass

from activities.contracts.backends import Locality, Rung
from activities.contracts.policy import ApproveCloud, BackendTerms, ClimbPlan, TurnPolicy
from workflows.policy.budget import Admit, Refuse, admit, most, to_nano, to_usd
from workflows.policy.climb import Climb, Sight, SkipCode

_BARRED = {str(code): code for code in (SkipCode.NOBODY_UP, SkipCode.CARD_ASLEEP)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """The rung may be asked, for so many tokens, with so many nano-dollars set aside, and no more than `most_nano`."""

    max_tokens: int
    reserve_nano: int
    most_nano: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """The rung may not be asked. `again_in_s` is set where that passes by itself."""

    code: SkipCode
    why: str
    again_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsAgreement:
    """The rung may be asked, for so many tokens, once someone agrees.

    `dear`: its price is a reason. `anew`: no earlier yes will do.
    """

    max_tokens: int
    reserve_nano: int
    why: str
    dear: bool
    anew: bool


def gate(plan: ClimbPlan, climb: Climb, sight: Sight, rung: Rung) -> Clear | Shut | NeedsAgreement:
    """Whether the rung may be asked now. Nobody is bothered to agree to a call that could not be made."""
    terms = terms_of(plan, rung)
    room = max(0, terms.window_tokens - sight.prompt_tokens)
    tokens = max(1, min(sight.answer_tokens, room))
    cost = max(most(sight.prompt_tokens, tokens, terms.price), _priced(climb, rung))
    fits = admit(cost, sight.spending, plan.policy.caps)
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
    leaves = rung.locality is not Locality.LOCAL and may_not_leave(plan.policy)
    limit = None if rung.name in climb.agreed_dear else plan.policy.approve_above_usd
    most_nano = None if limit is None else to_nano(limit)
    why = [
        "it leaves the building" if leaves and rung.name not in climb.agreed else "",
        f"it may cost ${to_usd(reserve):.6f}, more than ${limit:g}"
        if limit is not None and reserve > to_nano(limit)
        else "",
    ]
    if not any(why):
        return Clear(max_tokens=tokens, reserve_nano=reserve, most_nano=most_nano)
    return NeedsAgreement(
        max_tokens=tokens,
        reserve_nano=reserve,
        why=" and ".join(filter(None, why)),
        dear=bool(why[1]),
        anew=leaves and plan.policy.approve_cloud is ApproveCloud.ALWAYS,
    )


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
    for disagreed in climb.disagreed:
        if disagreed.rung == rung.name:
            return Shut(code=SkipCode.NOT_AGREED, why=disagreed.why)
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


def may_not_leave(policy: TurnPolicy) -> bool:
    """Whether somebody must agree before anything leaves the building."""
    return policy.approve_cloud is not ApproveCloud.NEVER


def _priced(climb: Climb, rung: Rung) -> int:
    """What the rung has turned out to cost at most; 0 where it has not been about to be called."""
    return max((each.nano for each in climb.priced if each.rung == rung.name), default=0)
