"""What a call's result means for its step: whether it ends the turn, and what the route says of it."""

import re
from dataclasses import replace
from datetime import timedelta

from activities import hops
from activities.attempts import Attempt
from activities.contracts.backends import Backend, Locality
from activities.contracts.events import EventKind
from activities.contracts.records import Answer, SpendCall
from activities.contracts.turn import ChatResult, ChatStep, Hop, HopOutcome, TurnError
from activities.errors import ModelReplaced
from activities.ports import Verdict

_DATED = re.compile(r"[-@:](?:\d{3,}(?:-\d\d){0,2}|latest)")
"""What a provider adds to a model's name without meaning another: a date, a build, `latest`."""


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
    if not _same_model(backend.model.lower(), served.lower()):
        raise ModelReplaced(f"{backend.name} was asked for {backend.model} and answered with {served[:100]}")


def _same_model(asked: str, served: str) -> bool:
    """`gpt-4o` is `gpt-4o-2024-08-06` and `openai/gpt-4o`, but neither `gpt-4` nor `gpt-4o-mini`."""
    asked = asked.removesuffix("-latest")
    if asked == served or served.endswith(f"/{asked}") or asked.endswith(f"/{served}"):
        return True
    short, long = sorted((asked.rpartition("/")[2], served.rpartition("/")[2]), key=len)
    return long.startswith(short) and _DATED.fullmatch(long[len(short) :]) is not None


def announce(attempt: Attempt) -> None:
    """Tells the client who is being asked, and whether what it was told before still counts."""
    step, attempt.asked = attempt.step, True
    provisional = step.offer_reason or not step.final
    provisional = provisional or (
        step.climb_if_flawed and attempt.context.sampling.response_format is not None
    )
    data = hops.started(step, provisional=provisional, offset=attempt.gathering.offset)
    data["attempt"], data["backend"] = attempt.number, attempt.backend.name
    if attempt.drops:
        attempt.events.emit(EventKind.HOP_RESTARTED, data | {"why": attempt.drops})
    else:
        attempt.events.emit(EventKind.HOP_STARTED, data)


def refused(hop: Hop, code: str, why: str, *, retry_after: timedelta | None = None) -> ChatResult:
    """A rung that was not called after all, and the code that says why."""
    return ChatResult(
        hop=replace(hop, outcome=HopOutcome.SKIPPED, why=f"{code}: {why}"),
        ended=False,
        error=TurnError(code=code, message=why),
        retry_after=retry_after,
    )


def too_dear(hop: Hop, nano: int) -> ChatResult:
    """A call that was not made as it could cost more than may be spent without anybody's agreement."""
    why = f"it may cost ${nano / hops.NANO:.6f}, and nobody has agreed to that"
    return replace(refused(hop, "too_dear", why), needs_nano=nano)


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
