"""The climb of one turn as a pure state machine: `decide` says what is next, given all that was seen so far.

What was seen is taken in by `workflows.policy.seen.observe`. The answer chain is walked until a rung answers
or pulls `reason`. The reason chain is walked when it is pulled, when the supervisor finds the answer flawed
(once a turn), when the effort demands it, or when an effort that would be offered it has no answer rung left.
A reason chain that gives nothing leads back: to the answer that is there already, else to the answer chain,
asked to answer by itself. Where a member of a rung's pool fails by its own fault, the rung is asked again of
another one, a bounded number of times. Only when nothing at all is left is a rung whose trouble may pass waited
for, a bounded number of times. A pinned model is a ladder of one rung, so nothing can stand in for it.
"""

from activities.contracts.backends import Rung
from activities.contracts.policy import ClimbPlan, ReasonAccess
from workflows.policy.climb import (
    Ask,
    Chain,
    Climb,
    Compose,
    Decision,
    Fail,
    Finish,
    Kept,
    Pause,
    SeekAgreement,
    Sight,
    Skip,
    SkipCode,
)
from workflows.policy.gate import Clear, NeedsAgreement, forbidden, gate, refused_before, terms_of


def begin(plan: ClimbPlan) -> Climb:
    """The start of a climb; ValueError for a plan that no climb can go by."""
    if not plan.ladder.answer:
        raise ValueError(f"ladder {plan.ladder.name} has no answer rung")
    for chain in (plan.ladder.answer, plan.ladder.reason):
        if len({rung.name for rung in chain}) < len(chain):
            raise ValueError(f"ladder {plan.ladder.name} names a rung twice in a chain")
        for rung in chain:
            try:
                terms_of(plan, rung)
            except KeyError:
                raise ValueError(f"the plan has no terms for backend {rung.backend}") from None
    return Climb()


def decide(plan: ClimbPlan, climb: Climb, sight: Sight) -> Decision:
    """What to do next. The same arguments always give the same decision."""
    if climb.done and climb.best:
        return Finish(answer_step=climb.best.step, rung=climb.best.rung, why=_finish_why(climb, climb.best))
    if climb.to_compose and climb.front is not None:
        return _compose(plan, climb, sight, climb.to_compose, plan.ladder.answer[climb.front])
    rungs = rungs_of(plan, climb.chain)
    if climb.place < len(rungs):
        return _at(plan, climb, sight, rungs[climb.place])
    if climb.best:
        return Finish(answer_step=climb.best.step, rung=climb.best.rung, why=_finish_why(climb, climb.best))
    return _pause(plan, climb) or _fail(climb)


def rungs_of(plan: ClimbPlan, chain: Chain) -> tuple[Rung, ...]:
    """The rungs of one of the ladder's chains."""
    return plan.ladder.answer if chain is Chain.ANSWER else plan.ladder.reason


def reason_open(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether the reason chain exists and has not been entered yet."""
    return bool(plan.ladder.reason) and not climb.reasoned


def must_reason(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether the effort demands a consult that has not been had."""
    required = plan.bands.access(plan.effort) is ReasonAccess.REQUIRED
    return required and reason_open(plan, climb)


def is_ahead(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether the chain goes on after the present rung."""
    return not climb.only and climb.place + 1 < len(rungs_of(plan, climb.chain))


def may_climb(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether the supervisor still has its climb, and somewhere to climb to."""
    return not climb.climbed and (reason_open(plan, climb) or is_ahead(plan, climb))


def composes(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether a good answer of the present rung is still to be composed."""
    return climb.chain is Chain.REASON and plan.policy.compose and climb.front is not None


def _at(plan: ClimbPlan, climb: Climb, sight: Sight, rung: Rung) -> Decision:
    """The questions before a rung, and what to ask of it."""
    passage = gate(plan, climb, sight, rung)
    if isinstance(passage, NeedsAgreement):
        return _seek(climb, rung, passage)
    if not isinstance(passage, Clear):
        return Skip(
            step=climb.step,
            chain=climb.chain,
            place=climb.place,
            rung=rung,
            code=passage.code,
            why=passage.why,
            again_in_s=passage.again_in_s,
        )
    must = must_reason(plan, climb)
    offered = _offered(plan, climb)
    return Ask(
        step=climb.step,
        chain=climb.chain,
        place=climb.place,
        rung=rung,
        offer_reason=offered,
        mandatory=offered and must,
        final=not composes(plan, climb) and not (climb.chain is Chain.ANSWER and must),
        climb_if_flawed=may_climb(plan, climb),
        max_tokens=passage.max_tokens,
        reserve_nano=passage.reserve_nano,
        why=_ask_why(climb),
        avoid=climb.tried,
        most_nano=passage.most_nano,
    )


def _seek(climb: Climb, rung: Rung, needed: NeedsAgreement) -> SeekAgreement:
    return SeekAgreement(
        step=climb.step,
        rung=rung,
        max_tokens=needed.max_tokens,
        reserve_nano=needed.reserve_nano,
        why=needed.why,
        dear=needed.dear,
        anew=needed.anew,
    )


def _offered(plan: ClimbPlan, climb: Climb) -> bool:
    """Whether `reason` is within the turn's reach: nothing is offered that policy would refuse anyway."""
    if climb.chain is Chain.REASON or not reason_open(plan, climb):
        return False
    if plan.bands.access(plan.effort) is ReasonAccess.NONE:
        return False
    return any(forbidden(plan, rung) is None for rung in plan.ladder.reason)


def _compose(plan: ClimbPlan, climb: Climb, sight: Sight, answer: Kept, rung: Rung) -> Decision:
    """Composition asks the same questions as any call; a "no" lets the answer go out as it is."""
    passage = gate(plan, climb, sight, rung)
    if isinstance(passage, NeedsAgreement):
        return _seek(climb, rung, passage)
    if isinstance(passage, Clear):
        return Compose(
            step=climb.step,
            rung=rung,
            answer_step=answer.step,
            max_tokens=passage.max_tokens,
            reserve_nano=passage.reserve_nano,
            avoid=climb.tried,
            most_nano=passage.most_nano,
        )
    return Skip(
        step=climb.step,
        chain=Chain.ANSWER,
        place=climb.front or 0,
        rung=rung,
        code=passage.code,
        why=f"{passage.why}, so the answer goes out as it is",
        composing=True,
    )


def _pause(plan: ClimbPlan, climb: Climb) -> Pause | None:
    """The shortest wait after which a rung could be tried again, if there may be one more."""
    rules = plan.repeats
    if climb.repeats >= rules.times:
        return None
    backoff = rules.first.total_seconds() * 2.0**climb.repeats
    latest = {(passed.chain, passed.place): passed for passed in climb.passed}
    waits = [
        (max(backoff, passed.again_in_s), passed)
        for passed in latest.values()
        if passed.again_in_s is not None
        and refused_before(climb, rungs_of(plan, passed.chain)[passed.place]) is None
    ]
    bearable = [(wait, passed) for wait, passed in waits if wait <= rules.longest.total_seconds()]
    if not bearable:
        return None
    wait, passed = min(bearable, key=lambda each: each[0])
    rung = rungs_of(plan, passed.chain)[passed.place]
    why = f"nothing else is left; {passed.rung}: {passed.code}"
    return Pause(chain=passed.chain, place=passed.place, rung=rung, seconds=wait, why=why)


def _fail(climb: Climb) -> Fail:
    """The failure that tells the whole route. Its code is the last call's, or why none was made."""
    asked = [passed.code for passed in climb.passed if passed.asked]
    # A breaker that opened on the way hides what opened it.
    codes = [code for code in asked if code != SkipCode.BREAKER_OPEN] or asked
    skips = {passed.code for passed in climb.passed}
    code = codes[-1] if codes else skips.pop() if len(skips) == 1 else "no_rung_left"
    story = "; ".join(f"{p.rung}: {p.code}{f' ({p.why})' if p.why else ''}" for p in climb.passed)
    return Fail(code=code, why=f"no rung is left: {story}")


def _ask_why(climb: Climb) -> str:
    if climb.tried:
        return f"{climb.tried[-1]} failed, and its pool has others"
    if climb.only:
        return "tried again after a wait"
    if climb.chain is Chain.REASON:
        return climb.reason_why
    return (
        "the reason chain gave nothing" if climb.reasoned else f"rung {climb.place + 1} of the answer chain"
    )


def _finish_why(climb: Climb, best: Kept) -> str:
    if climb.done:
        return f"{best.rung} answered"
    return f"nothing better came than the answer of {best.rung}"
