"""Between the ladder's decisions and the activities: what a decision asks for, and what came of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from activities.contracts.backends import Locality
from activities.contracts.cards import Denial
from activities.contracts.policy import Barred
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnInput
from workflows.policy.climb import Answered, Ask, Chain, Compose, Failed, Pulled, Seen, Sight, Skip
from workflows.policy.gate import may_not_leave
from workflows.policy.urgency import Stage, aged


def first_sight(turn: TurnInput) -> Sight:
    """What is known before anybody has been asked."""
    return Sight(prompt_tokens=turn.prompt_tokens, answer_tokens=turn.answer_tokens, barred=turn.barred)


def later_sight(sight: Sight, barred: tuple[Barred, ...]) -> Sight:
    """What is known after a call: its worker's breakers are the newest that there are."""
    return replace(sight, barred=barred)


def sight_after_waiting(sight: Sight, backend: str) -> Sight:
    """What is known after waiting for a backend: its own breaker decides when the call comes."""
    return replace(sight, barred=tuple(each for each in sight.barred if each.backend != backend))


def sight_after_asking(sight: Sight, seconds: float) -> Sight:
    """What is known after a person took so long to answer: breakers that would try again by now decide anew."""
    return replace(sight, barred=tuple(each for each in sight.barred if each.retry_in_s >= seconds))


def step_for(
    turn: TurnInput, decision: Ask | Compose, results: Sequence[ChatResult], route: Sequence[Hop]
) -> ChatStep:
    """The chat step that carries out the decision, after the calls that there were."""
    policy = turn.plan.policy
    step = ChatStep(
        turn_id=turn.turn_id,
        tenant_id=turn.tenant_id,
        step=decision.step,
        rung=decision.rung,
        route=tuple(route),
        # Nobody has been asked whether a rung of the house may leave it for a member that is outside.
        local_only=policy.local_only or (may_not_leave(policy) and decision.rung.locality is Locality.LOCAL),
        max_tokens=decision.max_tokens,
        caps=policy.caps,
        most_nano=decision.most_nano,
        avoid=decision.avoid,
    )
    if isinstance(decision, Compose):
        return replace(step, compose_step=decision.answer_step)
    pulled = next((r.hop.step for r in reversed(results) if r.pulled), None)
    asked = [result for result in results if result.hop.outcome is not HopOutcome.SKIPPED]
    broke_off = asked[-1].hop.step if asked and asked[-1].broke_off else None
    return replace(
        step,
        offer_reason=decision.offer_reason,
        must_reason=decision.mandatory,
        final=decision.final,
        climb_if_flawed=decision.climb_if_flawed,
        consult_step=pulled if decision.chain is Chain.REASON else None,
        continue_step=broke_off,
    )


def seen_of(result: ChatResult) -> Seen:
    """What the ladder sees of a call's result."""
    if result.error is not None:
        wait = result.retry_after
        return Failed(
            code=result.error.code,
            why=result.error.message,
            retry_after_s=wait.total_seconds() if wait is not None else None,
            elsewhere=result.elsewhere,
            needs_nano=result.needs_nano,
            backend=result.hop.backend,
        )
    return Pulled() if result.pulled else Answered(flaw=result.flaw, usable=result.usable)


def skipped_hop(skip: Skip) -> Hop:
    """The route's entry for a rung that was passed over."""
    return Hop(
        step=skip.step,
        rung=skip.rung.name,
        pool=skip.rung.pool,
        backend=skip.rung.backend,
        model=skip.rung.model,
        locality=skip.rung.locality,
        outcome=HopOutcome.SKIPPED,
        why=f"{skip.code}: {skip.why}",
    )


def cancelled_hop(step: ChatStep) -> Hop:
    """The route's entry for a rung that was being asked, or waited for, when the turn was cancelled."""
    return replace(
        _blank_hop(step),
        outcome=HopOutcome.CANCELLED,
        why="the turn was cancelled",
        waited_ms=step.waited_ms,
    )


def left_waiting(step: ChatStep, waited_s: float, waits: Sequence[Stage]) -> Hop:
    """The route's entry for a rung whose pool had no room within its patience, spent in these stages."""
    patience = step.rung.patience.total_seconds()
    why = f"no_room: {step.rung.pool} had no slot free within {patience:g} s"
    return replace(
        _blank_hop(step),
        why="; ".join(filter(None, (why, aged(waits)))),
        waited_ms=round(waited_s * 1000),
    )


def left_card(step: ChatStep, denial: Denial, why: str, waited: timedelta) -> Hop:
    """The route's entry for a rung whose model could not be held on its card, or was lost there."""
    return replace(
        _blank_hop(step), why=f"{denial}: {why}", waited_ms=round(waited / timedelta(milliseconds=1))
    )


def _blank_hop(step: ChatStep) -> Hop:
    return Hop(
        step=step.step,
        rung=step.rung.name,
        pool=step.rung.pool,
        backend=step.rung.backend,
        model=step.rung.model,
        locality=step.rung.locality,
        outcome=HopOutcome.SKIPPED,
        why="",
    )
