"""Turns for workflow tests: ladders, hops, and activities that answer from a script."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import activity

from activities.contracts.backends import Ladder, Rung
from activities.contracts.policy import BackendTerms, ClimbPlan
from activities.contracts.turn import (
    ChatResult,
    ChatStep,
    Hop,
    HopOutcome,
    NextTurn,
    TurnEnded,
    TurnEnding,
    TurnError,
    TurnInput,
    TurnStatus,
)


def rung(name: str, queue: str, *, patience: timedelta = timedelta(seconds=30)) -> Rung:
    """A rung on its own pool."""
    return Rung(
        name=name,
        pool=queue,
        backend=name,
        model=f"{name}-model",
        patience=patience,
        call_timeout=timedelta(seconds=30),
    )


def turn(turn_id: str, *rungs: Rung, reason: tuple[Rung, ...] = (), effort: int = 3) -> TurnInput:
    """A turn over a ladder of these rungs."""
    return TurnInput(
        turn_id=turn_id,
        tenant_id="acme",
        plan=ClimbPlan(
            ladder=Ladder(name="auto", answer=rungs, reason=reason),
            effort=effort,
            terms=tuple(BackendTerms(backend=r.backend, window_tokens=8192) for r in (*rungs, *reason)),
        ),
        effort_why="default",
        priority=1,
        preview="hello there",
    )


def hop(step: ChatStep, outcome: HopOutcome, why: str) -> Hop:
    """A hop of that step."""
    return Hop(
        step=step.step,
        rung=step.rung.name,
        pool=step.rung.pool,
        backend=step.rung.backend,
        model=step.rung.model,
        model_served=step.rung.model,
        outcome=outcome,
        why=why,
        ran_ms=50,
        completion_tokens=12,
    )


def answered(step: ChatStep, *, next_turn_id: str | None = None) -> ChatResult:
    """The rung answered, and the turn's end is recorded."""
    return ChatResult(
        hop=hop(step, HopOutcome.ANSWERED, "it answered"), ended=True, next_turn_id=next_turn_id
    )


def failed(step: ChatStep, code: str, *, member: str | None = None) -> ChatResult:
    """The rung failed with that code; where a member is named, it did, and its pool has others."""
    failure = hop(step, HopOutcome.FAILED, f"{code}: scripted")
    return ChatResult(
        hop=replace(failure, backend=member) if member else failure,
        ended=False,
        error=TurnError(code=code, message="scripted"),
        elsewhere=member is not None,
    )


def pulled(step: ChatStep) -> ChatResult:
    """The model handed the question on."""
    return ChatResult(
        hop=hop(step, HopOutcome.ESCALATED, "it handed the question on"), ended=False, pulled=True
    )


def flawed(step: ChatStep, flaw: str, *, usable: bool = True) -> ChatResult:
    """The rung answered, and the supervisor found a flaw; a final answer that may go out ends the turn."""
    ends = step.final and usable and not step.climb_if_flawed
    outcome = HopOutcome.ANSWERED if ends else HopOutcome.ESCALATED
    return ChatResult(hop=hop(step, outcome, flaw), ended=ends, flaw=flaw, usable=usable)


def good(step: ChatStep) -> ChatResult:
    """The rung answered well: a final answer ends the turn."""
    return ChatResult(hop=hop(step, HopOutcome.ANSWERED, "it answered"), ended=step.final)


Reply = Callable[[ChatStep], ChatResult]


@dataclass
class ScriptedActivities:
    """Plays the activities: each chat step takes the next reply of the script; None hangs until cancelled."""

    script: list[Reply | None]
    steps: list[ChatStep] = field(default_factory=list[ChatStep])
    endings: list[TurnEnding] = field(default_factory=list[TurnEnding])
    started: list[NextTurn] = field(default_factory=list[NextTurn])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_next: str | None = None

    @activity.defn(name="chat")
    async def chat(self, step: ChatStep) -> ChatResult:
        self.steps.append(step)
        self.asked.set()
        reply = self.script.pop(0)
        if reply is None:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        return reply(step)

    @activity.defn(name="end-turn")
    async def end_turn(self, ending: TurnEnding) -> TurnEnded:
        self.endings.append(ending)
        return TurnEnded(status=ending.status, next_turn_id=self.waiting_next)

    @activity.defn(name="start-turn")
    async def start_turn(self, next_turn: NextTurn) -> None:
        self.started.append(next_turn)

    @property
    def statuses(self) -> list[TurnStatus]:
        """The ends that were recorded, in order."""
        return [ending.status for ending in self.endings]
