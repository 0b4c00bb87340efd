"""One attempt at a step, as it goes, and the sign of life that it gives meanwhile."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import activity

from activities.answering import Gathering
from activities.contracts.backends import Backend
from activities.contracts.records import TurnContext
from activities.contracts.turn import ChatStep, Hop
from activities.ports import EventWriter

HEARTBEAT = timedelta(seconds=2)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What is known of the attempt. `asked`: the backend has been sent the call, and the client told so.

    `drops` says why the text that the client has counts no more; empty where it has none, or it still counts.
    """

    step: ChatStep
    backend: Backend
    context: TurnContext
    hop: Hop
    events: EventWriter
    gathering: Gathering
    number: int = 1
    drops: str = ""
    asked: bool = False
    began: float = field(default_factory=time.monotonic)
    first_token_ms: int | None = None

    def timed(self) -> Hop:
        """The hop with how long it has taken so far."""
        return replace(self.hop, ran_ms=self._ms(), first_token_ms=self.first_token_ms)

    def note_token(self) -> None:
        """The first token came just now, unless it came before."""
        if self.first_token_ms is None:
            self.first_token_ms = self._ms()

    def _ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Says that the activity lives, and lets a cancellation in."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            activity.heartbeat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
