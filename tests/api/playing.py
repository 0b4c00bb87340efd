"""A worker for tests: answers started turns as the activities do, by a script, without Temporal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from activities.contracts.chat import FinishReason, Usage
from activities.contracts.events import EventKind
from activities.contracts.jobs import SwarmInput
from activities.contracts.records import Answer, Recorded
from activities.contracts.topology import Topology
from activities.contracts.turn import Hop, HopOutcome, TurnEnding, TurnError, TurnInput, TurnStatus
from api.relay import ENDS
from infra.postgres.turns import PostgresTurns
from infra.redis_events import RedisEvents, RedisEventWriter
from workflows.policy.plans import turn_input

WORDS = ["The ", "sky ", "scatters ", "blue ", "light ", "— ", "néon ", "💡", "."]
TEXT = "".join(WORDS)


def hop(turn: TurnInput, *, outcome: HopOutcome = HopOutcome.ANSWERED, why: str = "it answered") -> Hop:
    rung = turn.plan.ladder.answer[0]
    return Hop(
        step=0,
        rung=rung.name,
        pool=rung.pool,
        backend=rung.backend,
        model=rung.model,
        model_served=rung.model,
        outcome=outcome,
        why=why,
        waited_ms=1,
        ran_ms=5,
        first_token_ms=2,
        prompt_tokens=7,
        completion_tokens=9,
    )


def shown(turn: TurnInput, attempt: int = 1) -> dict[str, Any]:
    rung = turn.plan.ladder.answer[0]
    return {
        "step": 0,
        "rung": rung.name,
        "pool": rung.pool,
        "backend": rung.backend,
        "model": rung.model,
        "attempt": attempt,
    }


def answer(turn: TurnInput, text: str = TEXT) -> Answer:
    rung = turn.plan.ladder.answer[0]
    return Answer(
        step=0,
        text=text,
        finish_reason=FinishReason.STOP,
        backend=rung.backend,
        model=rung.model,
        usage=Usage(prompt_tokens=7, completion_tokens=9),
    )


Play = Callable[["PlayedRuns", TurnInput], Awaitable[None]]


async def answers(runs: "PlayedRuns", turn: TurnInput) -> None:
    """Streams the text, records it, tells the end."""
    async with runs.events.writer(turn.turn_id) as writer:
        writer.emit(EventKind.HOP_STARTED, shown(turn))
        speak(writer, WORDS)
        await runs.finish(turn, writer)


async def fails(runs: "PlayedRuns", turn: TurnInput) -> None:
    """Ends the turn as failed."""
    error = TurnError(code="backend_unavailable", message="nobody is there; try again later")
    recorded = await runs.rows.end_turn(
        TurnEnding(
            turn_id=turn.turn_id,
            tenant_id=turn.tenant_id,
            status=TurnStatus.FAILED,
            route=(hop(turn, outcome=HopOutcome.FAILED, why="nobody is there"),),
            error=error,
        )
    )
    async with runs.events.writer(turn.turn_id) as writer:
        writer.emit(ENDS[recorded.status], recorded.turn)


async def never(runs: "PlayedRuns", turn: TurnInput) -> None:
    """Leaves the turn running."""


def speak(writer: RedisEventWriter, words: list[str], offset: int = 0) -> int:
    for word in words:
        writer.emit(EventKind.TOKEN, {"text": word, "offset": offset})
        offset += len(word)
    return offset


class PlayedRuns:
    """Stands in for Temporal and its workers: plays `play` for every turn that is started."""

    def __init__(self) -> None:
        self.rows: PostgresTurns
        self.events: RedisEvents
        self.topology: Topology
        self.play: Play = answers
        self.started: list[TurnInput] = []
        self.cancelled: list[str] = []
        self.stops_on_cancel = True
        self.up = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, turn: TurnInput) -> None:
        if not self.up or any(turn.turn_id == begun.turn_id for begun in self.started):
            return
        self.started.append(turn)
        task = asyncio.create_task(self._run(turn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cancel(self, turn_id: str) -> bool:
        turn = next((turn for turn in self.started if turn.turn_id == turn_id), None)
        if not self.up or turn is None:
            return False
        self.cancelled.append(turn_id)
        if self.stops_on_cancel:
            recorded = await self.rows.end_turn(
                TurnEnding(turn_id=turn_id, tenant_id=turn.tenant_id, status=TurnStatus.CANCELLED)
            )
            async with self.events.writer(turn_id) as writer:
                writer.emit(ENDS[recorded.status], recorded.turn)
            await self._go_on(turn.tenant_id, recorded)
        return True

    async def healthy(self) -> bool:
        return self.up

    async def finish(self, turn: TurnInput, writer: RedisEventWriter | None, text: str = TEXT) -> None:
        """Records the answer and tells it, as the chat activity does."""
        one = hop(turn)
        recorded = await self.rows.record_answer(
            turn.tenant_id, turn.turn_id, answer(turn, text), (one,), final=True
        )
        if writer is not None:
            writer.emit(EventKind.HOP_ENDED, {"step": 0, "outcome": "answered"})
            writer.emit(ENDS[recorded.status], recorded.turn)
        await self._go_on(turn.tenant_id, recorded)

    async def idle(self) -> None:
        """Returns when nothing is being played."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, turn: TurnInput) -> None:
        await self.play(self, turn)

    async def _go_on(self, tenant_id: str, recorded: Recorded) -> None:
        if recorded.next_turn_id is None:
            return
        row = await self.rows.start_of(tenant_id, recorded.next_turn_id, 48)
        ladder = self.started[0].plan.ladder
        turn_id = recorded.next_turn_id
        await self.start(turn_input(self.topology, ladder, row, tenant_id=tenant_id, turn_id=turn_id))


class PlayedJobRuns:
    """Stands in for Temporal where jobs are begun: nobody works on them."""

    def __init__(self) -> None:
        self.started: list[SwarmInput] = []

    async def start(self, swarm: SwarmInput, priority: int) -> None:
        self.started.append(swarm)

    async def cancel(self, job_id: str) -> bool:
        return False

    async def add_workers(self, job_id: str, number: int) -> bool:
        return True
