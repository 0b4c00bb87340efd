"""Approvals, purely: when people are reminded, when others are asked, what a choice is worth, how far a yes reaches.

The database decides (`aither.decide_approval`), for it alone can let the first one win. `judged`, `agreed` and
`covers` say what it decides; a test holds the two together.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from activities.contracts.approvals import (
    DEADLINE_AFTER,
    DEFAULT_ROLE,
    ApprovalAsk,
    ApprovalClock,
    ApprovalStatus,
    ApprovalView,
    Choice,
    Deciders,
    Grant,
    News,
    Scope,
    Urgency,
    Verdict,
    Vote,
)

REMINDERS = {Urgency.LOW: (0.1,), Urgency.NORMAL: (0.5, 0.1), Urgency.HIGH: (0.75, 0.5, 0.25, 0.1)}
"""Parts of the time that are left when people are reminded."""
LEAST_REMINDER = timedelta(minutes=1)
"""Before the deadline; later than that nobody is reminded unless the ask says so."""
_ID_CHARS = 26


def approval_id(*words: str) -> str:
    """The id of the approval that these words name; always the same."""
    digest = hashlib.sha256("\x1f".join(words).encode("utf-8", "replace")).hexdigest()
    return f"apr_{digest[:_ID_CHARS]}"


def planned(ask: ApprovalAsk, now: datetime) -> ApprovalAsk:
    """The ask with everything settled that it leaves open: deadline, reminders, deciders."""
    deadline = ask.deadline or now + DEADLINE_AFTER
    reminders = ask.reminders
    if reminders is None:
        parts = ((deadline - now) * part for part in REMINDERS[ask.urgency])
        reminders = tuple(before for before in parts if before >= LEAST_REMINDER)
    deciders = ask.deciders
    if not (deciders.people or deciders.roles):
        deciders = replace(deciders, roles=(DEFAULT_ROLE,))
    return replace(ask, deadline=deadline, reminders=reminders, deciders=deciders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What should have happened to an open approval by now, and when to look again.

    `news` is what of it has not been: of several reminders that were missed, one is told.
    """

    stage: int
    reminded: int
    news: tuple[News, ...]
    wake_at: datetime


def due(clock: ApprovalClock, now: datetime) -> Due:
    """How far the approval should be. At the deadline nobody is reminded any more; the database closes it."""
    wake_at = min(
        (at for at in (*clock.escalations[clock.stage :], *clock.reminders, clock.deadline) if at > now),
        default=clock.deadline,
    )
    if now >= clock.deadline:
        return Due(stage=clock.stage, reminded=clock.reminded, news=(), wake_at=clock.deadline)
    stage = max(clock.stage, sum(at <= now for at in clock.escalations))
    reminded = max(clock.reminded, sum(at <= now for at in clock.reminders))
    news = ((News.ESCALATED,) if stage > clock.stage else ()) + (
        (News.REMINDED,) if reminded > clock.reminded else ()
    )
    return Due(stage=stage, reminded=reminded, news=news, wake_at=wake_at)


def judged(view: ApprovalView, choice: Choice, *, may: bool) -> Verdict:
    """What a choice is worth. `may` says whether whoever makes it is among the deciders. Before votes are counted."""
    option = view.option(choice.option)
    if not may:
        return Verdict.STRANGER
    if view.status is not ApprovalStatus.OPEN:
        return Verdict.CLOSED
    if option is None:
        return Verdict.UNKNOWN_OPTION
    if choice.scope is not Scope.ONCE and not (option.approves and choice.scope in view.scopes):
        return Verdict.BAD_SCOPE
    if not option.approves:
        return Verdict.DECIDED
    vote = Vote(
        by=choice.by,
        option=choice.option,
        scope=choice.scope,
        surface=choice.surface,
        note="",
        at=view.opened_at,
    )
    votes = [*(each for each in view.votes if each.by != choice.by), vote]
    return Verdict.DECIDED if agreed(votes, view.quorum) else Verdict.COUNTED


def agreed(votes: Sequence[Vote], quorum: int) -> tuple[str, Scope] | None:
    """The option that so many persons have chosen, with the narrowest scope that they gave."""
    for option in dict.fromkeys(vote.option for vote in votes):
        scopes = {vote.by: vote.scope for vote in votes if vote.option == option}
        if len(scopes) >= quorum:
            return option, narrowest(tuple(scopes.values()))
    return None


def narrowest(scopes: Sequence[Scope]) -> Scope:
    """The scope that reaches least far."""
    order = list(Scope)
    return min(scopes, key=order.index)


def covers(grant: Grant, ask: ApprovalAsk, now: datetime) -> bool:
    """Whether an earlier yes answers the ask."""
    alike = (grant.kind, grant.agent, grant.action, grant.fingerprint) == (
        ask.kind,
        ask.agent,
        ask.action,
        ask.fingerprint,
    )
    option = next((each for each in ask.options if each.key == grant.option), None)
    return (
        alike
        and bool(ask.agent and ask.action and ask.fingerprint)
        and option is not None
        and option.approves
        and grant.revoked_at is None
        and now < grant.expires_at
        and grant.conversation_id in (None, ask.conversation_id)
        and (grant.most_usd is None or (ask.cost_usd or 0) <= grant.most_usd)
        and (grant.leaves_building or not ask.leaves_building)
    )


def fingerprint(arguments: object) -> str:
    """A name for the shape of a call's arguments: their names and types, not what they say.

    An array is what its elements are, in whichever order and number.
    """
    shape = json.dumps(_shape(arguments), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(shape.encode()).hexdigest()[:32]


def may_decide(deciders: Deciders, stage: int, name: str, roles: Sequence[str]) -> bool:
    """Whether somebody of these roles is among the deciders after so many escalations."""
    steps = (deciders, *deciders.then[:stage])
    return any(name in step.people or set(roles) & set(step.roles) for step in steps)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _shape(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        inner = {json.dumps(_shape(item), sort_keys=True) for item in cast("Sequence[object]", value)}
        return sorted(inner)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "string"
