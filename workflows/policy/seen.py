"""What an observation makes of a climb: the second half of the ladder's state machine."""

from dataclasses import replace

from activities.contracts.cards import Denial
from activities.contracts.policy import ClimbPlan, ReasonAccess
from workflows.policy.climb import (
    Agreed,
    Answered,
    Ask,
    Chain,
    Climb,
    Compose,
    Decision,
    Disagreed,
    Failed,
    Kept,
    Passed,
    Pause,
    Priced,
    Pulled,
    SeekAgreement,
    Seen,
    Skip,
    SkipCode,
)
from workflows.policy.gate import terms_of
from workflows.policy.ladder import composes, is_ahead, may_climb, must_reason, reason_open, rungs_of

NO_ROOM = "no_room"
"""The code of a rung that had no room within its patience; the others are those of `activities.errors`."""

MORE_TRIES = 2
"""How often a rung is asked again because another member of its pool may do what one did not."""

_OF_THE_MEMBER = frozenset(
    {
        *("backend_error", "backend_unavailable", "backend_timed_out", "backend_rate_limited"),
        *("backend_refused_key", "model_missing", "model_replaced"),
    }
)
"""What the next member may do better. What the request brings about, or the model, it would do no better."""
_MAY_PASS = frozenset(
    {
        "backend_unavailable",
        "backend_rate_limited",
        SkipCode.BREAKER_OPEN,
        NO_ROOM,
        Denial.LEASE_LOST,
        Denial.MOVE_FAILED,
    }
)


def observe(plan: ClimbPlan, climb: Climb, decision: Decision, seen: Seen | None = None) -> Climb:
    """The climb after a decision was carried out. ValueError where the two do not belong together."""
    if (
        isinstance(decision, Ask | Compose)
        and isinstance(seen, Failed)
        and _goes_elsewhere(climb, decision, seen)
    ):
        return _elsewhere(climb, decision, seen)
    if isinstance(decision, Ask | Compose) and isinstance(seen, Failed) and _needs_agreement(decision, seen):
        priced = Priced(rung=decision.rung.name, nano=seen.needs_nano or 0)
        return replace(climb, step=climb.step + 1, priced=(*climb.priced, priced))
    match decision, seen:
        case Skip(composing=True), None:
            after = replace(climb, step=climb.step + 1, best=climb.to_compose, to_compose=None, done=True)
        case Skip(), None:
            after = _skipped(plan, climb, decision)
        case Pause(chain=chain, place=place), None:
            after = replace(climb, chain=chain, place=place, only=True, repeats=climb.repeats + 1)
        case SeekAgreement(rung=rung, dear=dear), Agreed(yes=True):
            after = replace(climb, agreed=(*climb.agreed, rung.name))
            after = replace(after, agreed_dear=(*after.agreed_dear, rung.name)) if dear else after
        case SeekAgreement(rung=rung), Agreed(why=why):
            disagreed = Disagreed(rung=rung.name, why=why)
            after = replace(climb, disagreed=(*climb.disagreed, disagreed))
        case Compose(), Answered() | Failed() | Pulled():
            after = _composed(climb, decision, seen)
        case Ask(), Answered():
            after = _answered(plan, climb, decision, seen)
        case Ask(), Pulled():
            after = _pulled(plan, climb, decision)
        case Ask(), Failed():
            after = _failed(plan, climb, decision, seen)
        case _:
            raise ValueError(f"{type(decision).__name__} cannot come to {type(seen).__name__}")
    return after if isinstance(decision, SeekAgreement) else replace(after, tried=())


def _goes_elsewhere(climb: Climb, asked: Ask | Compose, seen: Failed) -> bool:
    """Whether the same rung is asked again, of another member of its pool."""
    if not seen.elsewhere or asked.rung.exact or seen.backend in climb.tried:
        return False
    return seen.code in _OF_THE_MEMBER and len(climb.tried) < MORE_TRIES


def _needs_agreement(asked: Ask | Compose, seen: Failed) -> bool:
    """Whether the call waits at its place for somebody to agree to its price."""
    return asked.most_nano is not None and (seen.needs_nano or 0) > asked.most_nano


def _elsewhere(climb: Climb, asked: Ask | Compose, seen: Failed) -> Climb:
    """Stays at the place, without the member that failed; nothing is ruled out for the rest of the turn."""
    passed = climb.passed
    if isinstance(asked, Ask):
        why = f"{seen.backend}: {seen.why}" if seen.why else seen.backend
        passed = (*passed, _passed(asked, seen.code, why, _again(seen)))
    return replace(climb, step=climb.step + 1, passed=passed, tried=(*climb.tried, seen.backend))


def _skipped(plan: ClimbPlan, climb: Climb, skip: Skip) -> Climb:
    passed = Passed(
        step=skip.step,
        chain=skip.chain,
        place=skip.place,
        rung=skip.rung.name,
        asked=False,
        code=skip.code,
        why=skip.why,
        again_in_s=skip.again_in_s,
    )
    return _next(plan, replace(climb, step=climb.step + 1, passed=(*climb.passed, passed)))


def _composed(climb: Climb, compose: Compose, seen: Seen) -> Climb:
    """A composition that failed or is flawed lets the reasoner's answer go out as it is."""
    good = isinstance(seen, Answered) and seen.flaw is None
    best = Kept(step=compose.step, rung=compose.rung.name, flawed=False) if good else climb.to_compose
    return replace(climb, step=climb.step + 1, best=best, to_compose=None, done=True)


def _answered(plan: ClimbPlan, climb: Climb, ask: Ask, seen: Answered) -> Climb:
    """A good answer ends the climb unless more is asked for; a flawed one climbs if it still may."""
    if not seen.usable:
        return _useless(plan, climb, ask, seen)
    front = ask.place if ask.chain is Chain.ANSWER else climb.front
    kept = Kept(step=ask.step, rung=ask.rung.name, flawed=seen.flaw is not None)
    after = replace(climb, step=climb.step + 1, best=_better(climb.best, kept), front=front)
    if ask.chain is Chain.ANSWER and must_reason(plan, climb):
        return _to_reason(plan, after, ask.place + 1, f"effort {plan.effort} demands it")
    if seen.flaw is None and composes(plan, climb):
        return replace(after, to_compose=kept)
    if seen.flaw is None or not may_climb(plan, climb):
        return replace(after, done=True)
    return _climb(plan, after, ask, seen.flaw)


def _pulled(plan: ClimbPlan, climb: Climb, ask: Ask) -> Climb:
    """On to the reason chain; a tool that was not offered cannot be pulled."""
    if not ask.offer_reason:
        stray = Failed(code="answer_malformed", why="asked for a tool that was not offered")
        return _failed(plan, climb, ask, stray)
    resume = len(plan.ladder.answer) if climb.only else climb.place
    pulled = replace(climb, step=climb.step + 1, front=climb.place)
    return _to_reason(plan, pulled, resume, f"{ask.rung.name} asked for it")


def _useless(plan: ClimbPlan, climb: Climb, ask: Ask, seen: Answered) -> Climb:
    """An answer that must not go out is a failed rung, and asking the same rung again would not mend it."""
    flaw = seen.flaw or "unusable"
    passed = _passed(ask, f"answer_{flaw}", "", None)
    after = replace(climb, step=climb.step + 1, passed=(*climb.passed, passed))
    if may_climb(plan, climb):
        return _climb(plan, after, ask, flaw)
    return _next(plan, after)


def _climb(plan: ClimbPlan, climb: Climb, ask: Ask, flaw: str) -> Climb:
    """The supervisor's climb: to the reason chain, or to the next rung where there is none to enter."""
    climbed = replace(climb, climbed=True)
    if ask.chain is Chain.ANSWER and reason_open(plan, climb):
        resume = len(plan.ladder.answer) if climb.only else ask.place + 1
        return _to_reason(plan, climbed, resume, f"the answer of {ask.rung.name} was {flaw}")
    return replace(climbed, place=climb.place + 1) if is_ahead(plan, climb) else _next(plan, climbed)


def _failed(plan: ClimbPlan, climb: Climb, ask: Ask, seen: Failed) -> Climb:
    """What a failure rules out for the rest of the turn, and whether it may pass by itself."""
    again = _again(seen)
    if again is None and seen.code in _OF_THE_MEMBER:
        # Another member, that failed before this one, may come back.
        before = climb.passed[len(climb.passed) - len(climb.tried) :]
        again = min((each.again_in_s for each in before if each.again_in_s is not None), default=None)
    passed = _passed(ask, seen.code, seen.why, again)
    after = replace(climb, step=climb.step + 1, passed=(*climb.passed, passed))
    if seen.code == "backend_rejected":
        after = replace(after, rejected_models=(*after.rejected_models, ask.rung.model))
    elif seen.code == "backend_refused_key" and again is None:
        after = replace(after, refused_backends=(*after.refused_backends, ask.rung.backend))
    elif seen.code == "context_too_long":
        window = terms_of(plan, ask.rung).window_tokens
        after = replace(after, outgrown_tokens=max(after.outgrown_tokens, window))
    return _next(plan, after)


def _again(seen: Failed) -> float | None:
    """After how many seconds the same member may do better; None where waiting mends nothing."""
    return max(0.0, seen.retry_after_s or 0.0) if seen.code in _MAY_PASS else None


def _passed(ask: Ask, code: str, why: str, again_in_s: float | None) -> Passed:
    return Passed(
        step=ask.step,
        chain=ask.chain,
        place=ask.place,
        rung=ask.rung.name,
        asked=True,
        code=code,
        why=why,
        again_in_s=again_in_s,
    )


def _better(old: Kept | None, new: Kept) -> Kept:
    """The later answer, unless it is flawed and the earlier one is not."""
    return old if old and new.flawed and not old.flawed else new


def _to_reason(plan: ClimbPlan, climb: Climb, resume: int, why: str) -> Climb:
    entered = replace(
        climb, chain=Chain.REASON, place=0, only=False, resume=resume, reasoned=True, reason_why=why
    )
    return _roll(plan, entered)


def _next(plan: ClimbPlan, climb: Climb) -> Climb:
    """On to the next rung; a rung that was tried again alone leads to the end of its chain."""
    place = len(rungs_of(plan, climb.chain)) if climb.only else climb.place + 1
    return _roll(plan, replace(climb, place=place, only=False))


def _roll(plan: ClimbPlan, climb: Climb) -> Climb:
    """Off the end of a chain: back from the reason chain, or into it where the effort would be offered it."""
    if climb.place < len(rungs_of(plan, climb.chain)) or climb.best:
        return climb
    ends = len(plan.ladder.answer)
    if climb.chain is Chain.REASON:
        return replace(climb, chain=Chain.ANSWER, place=climb.resume, resume=ends)
    if reason_open(plan, climb) and plan.bands.access(plan.effort) is not ReasonAccess.NONE:
        return _to_reason(plan, climb, ends, "no answer rung is left")
    return climb
