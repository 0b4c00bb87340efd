"""How urgently a call waits for its pool: by what it is asked for, and ever more so the longer it waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from activities.contracts.urgency import Urgency
from workflows.policy.climb import Ask, Chain, Compose


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a wait: at this priority (1 runs first), for so long."""

    priority: int
    wait: timedelta


def urgency_of(priority: int, decision: Ask | Compose) -> int:
    """The priority of a call of a turn of this priority.

    The reason chain, and the composition after it, stand behind turns that nobody has answered yet.
    """
    escalates = isinstance(decision, Compose) or decision.chain is Chain.REASON
    return max(priority, int(Urgency.ESCALATION)) if escalates else priority


def stages(priority: int, patience: timedelta, aging: timedelta | None) -> tuple[Stage, ...]:
    """How the patience is spent: one step more urgent after each `aging`, so that no call starves.

    `None`, or nothing, keeps the priority. The waits sum to the patience, and there are `priority` of them at most.
    """
    if not aging:
        return (Stage(priority=priority, wait=patience),)
    waited: list[Stage] = []
    left = patience
    for step in range(priority, Urgency.INTERACTIVE, -1):
        if left <= aging:
            return (*waited, Stage(priority=step, wait=left))
        waited.append(Stage(priority=step, wait=aging))
        left -= aging
    return (*waited, Stage(priority=int(Urgency.INTERACTIVE), wait=left))


def aged(waits: Sequence[Stage]) -> str:
    """The priorities that a call went through, in words; empty where it kept its own."""
    if len(waits) < 2:
        return ""
    return f"it aged from priority {waits[0].priority} to {waits[-1].priority}"
