"""What the activities need of the world, as protocols that infra implements and tests fake."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from activities.contracts.chat import ChatCall, ChatChunk, Message
from activities.contracts.events import EventKind
from activities.contracts.policy import Caps
from activities.contracts.records import (
    Answer,
    CallCost,
    DueTurn,
    Recorded,
    Reservation,
    SpendCall,
    TurnContext,
)
from activities.contracts.turn import Hop, TurnEnding

FREE = CallCost()


class ChatBackend(Protocol):
    """One model backend. Raises `BackendError`s only, and owns no retry."""

    def stream(self, call: ChatCall) -> AsyncGenerator[ChatChunk]:
        """Streams one answer. Closing the iterator stops the model call."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of these messages by the model's own template, or an upper bound."""
        ...


class TurnStore(Protocol):
    """Turns and answers in PostgreSQL. Raises `StoreUnavailable` and `TurnNotFound`."""

    async def context(self, tenant_id: str, turn_id: str, step: int, history_bytes: int) -> TurnContext:
        """The step's context, with at most `history_bytes` bytes of earlier messages."""
        ...

    async def record_answer(
        self,
        tenant_id: str,
        turn_id: str,
        answer: Answer,
        route: Sequence[Hop],
        *,
        final: bool,
        cost: CallCost = FREE,
    ) -> Recorded:
        """Records the answer and its cost unless the step has one; `final` also completes the turn."""
        ...

    async def end_turn(self, ending: TurnEnding) -> Recorded:
        """Records the end unless the turn has one."""
        ...

    async def due_turns(self, limit: int) -> Sequence[DueTurn]:
        """Turns that should have a running workflow and were not looked at lately, of all tenants."""
        ...


class EventWriter(Protocol):
    """Writes one attempt's events, in order, without ever blocking or failing the attempt."""

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Queues an event; it is on its way before the caller next awaits for long."""
        ...


class EventChannel(Protocol):
    """The side channel that carries a turn's events to whoever listens."""

    def writer(self, turn_id: str) -> AbstractAsyncContextManager[EventWriter]:
        """A writer for a new attempt; leaving the block flushes it."""
        ...


class SpendLedger(Protocol):
    """Money, set aside before a call and given back after it; answers book theirs as they are recorded."""

    async def reserve(self, call: SpendCall, nano_usd: int, caps: Caps) -> Reservation:
        """Sets at most `nano_usd` aside for the call within the caps. Safe to run twice."""
        ...

    async def release(self, call: SpendCall) -> None:
        """Gives back what was set aside for a call that is not billed. Safe to run twice."""
        ...


class StartOutcome(StrEnum):
    """What starting a turn's workflow came to. `CLOSED`: it has run and closed before."""

    STARTED = "started"
    RUNNING = "running"
    CLOSED = "closed"


class TurnStarter(Protocol):
    """Starts turns' workflows; starting one that runs or has run changes nothing."""

    async def start(self, tenant_id: str, turn_id: str) -> StartOutcome:
        """Starts the turn's workflow from its row."""
        ...
