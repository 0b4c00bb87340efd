"""What a call's result means for its step: whether it ends the turn, and what the route says of it."""

from dataclasses import replace
from datetime import timedelta

from activities import hops
from activities.contracts.events import EventKind
from activities.contracts.records import Answer, SpendCall, TurnContext
from activities.contracts.topology import Backend, Locality
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnError
from activities.errors import ModelReplaced
from activities.ports import EventWriter, Verdict


def ruling(
    step: ChatStep, answer: Answer, verdict: Verdict | None, *, pulled: bool
) -> tuple[bool, HopOutcome, str]:
    """Whether the answer ends the turn, how the hop ended, and why."""
    if pulled:
        return False, HopOutcome.ESCALATED, "it handed the question on"
    if verdict is None or verdict.flaw is None:
        return step.final, HopOutcome.ANSWERED, "it answered"
    why = f"{verdict.flaw}: {verdict.why}" if verdict.why else str(verdict.flaw)
    if step.climb_if_flawed or not verdict.usable:
        return False, HopOutcome.ESCALATED, why
    return step.final, HopOutcome.ANSWERED, f"it answered ({why})"


def check_served(backend: Backend, served: str) -> None:
    """Lets only the model that was asked for answer; a provider's dated or prefixed name of it is that model.

    Raises `ModelReplaced`, naming both.
    """
    asked, found = backend.model.lower(), served.lower()
    if not (found.startswith(asked) or asked.startswith(found) or found.endswith(f"/{asked}")):
        raise ModelReplaced(f"{backend.name} was asked for {backend.model} and answered with {served}")


def announce(step: ChatStep, context: TurnContext, events: EventWriter, *, attempt: int, offset: int) -> None:
    """Tells the client who is being asked, and whether what it was told before still counts."""
    provisional = step.offer_reason or not step.final
    provisional = provisional or (step.climb_if_flawed and context.sampling.response_format is not None)
    data = hops.started(step, provisional=provisional, offset=offset)
    if attempt > 1 and not offset:
        why = "the attempt before this one was lost"
        events.emit(EventKind.HOP_RESTARTED, data | {"attempt": attempt, "why": why})
    else:
        events.emit(EventKind.HOP_STARTED, data | {"attempt": attempt})


def refused(hop: Hop, code: str, why: str, *, retry_after: timedelta | None = None) -> ChatResult:
    """A rung that was not called after all, and the code that says why."""
    return ChatResult(
        hop=replace(hop, outcome=HopOutcome.SKIPPED, why=f"{code}: {why}"),
        ended=False,
        error=TurnError(code=code, message=why),
        retry_after=retry_after,
    )


def spend_call(step: ChatStep, backend: Backend) -> SpendCall:
    """The step's call, as the ledger knows it."""
    return SpendCall(
        tenant_id=step.tenant_id,
        turn_id=step.turn_id,
        step=step.step,
        backend=backend.name,
        model=backend.model,
        local=backend.locality is Locality.LOCAL,
    )
