"""The route's entries, as the chat activity writes them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from activities.contracts.events import EventKind
from activities.contracts.records import Answer
from activities.contracts.turn import ChatStep, Hop, HopOutcome, TurnStatus

END_EVENTS: Mapping[TurnStatus, EventKind] = {
    TurnStatus.COMPLETED: EventKind.TURN_COMPLETED,
    TurnStatus.FAILED: EventKind.TURN_FAILED,
    TurnStatus.CANCELLED: EventKind.TURN_CANCELLED,
}

NANO = 1_000_000_000


def blank(step: ChatStep, scheduled: datetime, started: datetime) -> Hop:
    """The hop of a step before anything has come of it; it has waited in the pool's queue, in stages, until now."""
    return Hop(
        step=step.step,
        rung=step.rung.name,
        pool=step.rung.pool,
        backend=step.rung.backend,
        model=step.rung.model,
        locality=step.rung.locality,
        outcome=HopOutcome.CANCELLED,
        why="cancelled",
        waited_ms=step.waited_ms + max(0, round((started - scheduled).total_seconds() * 1000)),
    )


def answered(hop: Hop, answer: Answer, outcome: HopOutcome, why: str, *, nano_usd: int = 0) -> Hop:
    """The hop of a call that came back."""
    usage = answer.usage
    return replace(
        hop,
        outcome=outcome,
        why=why,
        model_served=answer.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=nano_usd / NANO,
    )


def started(step: ChatStep, *, provisional: bool, offset: int) -> dict[str, Any]:
    """What `hop.started` says.

    `provisional`: its text may yet be replaced by a later hop's. `offset`: its first token goes on from so many
    characters that earlier hops have said.
    """
    return {
        "step": step.step,
        "rung": step.rung.name,
        "pool": step.rung.pool,
        "backend": step.rung.backend,
        "model": step.rung.model,
        "provisional": provisional,
        "offset": offset,
    }


def view(hop: Hop) -> dict[str, Any]:
    """The hop as JSON."""
    return msgspec.to_builtins(hop)
