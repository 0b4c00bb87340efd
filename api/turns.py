"""Turns as the API's edges use them: accept, wait, follow, cancel. REST and the compat endpoint share this."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from activities.contracts.chat import Message, Sampling
from activities.contracts.events import TurnEvent
from infra.postgres.keys import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """A validated request for a turn. `keep_conversation` makes or continues a conversation row."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    model: str = "auto"
    conversation_id: str | None = None
    keep_conversation: bool = True
    effort: int | None = None
    agent: str | None = None
    priority: int | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    idempotency_key: str | None = None
    body_sha256: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTurn:
    """The turn that stands for a request; `replayed` says that its idempotency key was seen before."""

    turn_id: str
    conversation_id: str | None
    replayed: bool = False


class Turns:
    """Accepts turns durably and follows them to their end."""

    async def accept(self, caller: Caller, request: TurnRequest) -> AcceptedTurn:
        """Stores the turn and starts its workflow. Once this returns, the turn will come to an end."""
        ...

    async def get(self, caller: Caller, turn_id: str) -> dict[str, Any]:
        """The turn as it stands. Raises `TurnNotFound`, also for another tenant's."""
        ...

    async def wait(self, caller: Caller, turn_id: str, seconds: float) -> dict[str, Any] | None:
        """The turn once it has ended (view without `input`), or None when it has not in time."""
        ...

    def events(self, caller: Caller, turn_id: str, after: str | None) -> AsyncIterator[TurnEvent]:
        """The turn's events after the id `after`, to its end; works after the end and without Redis."""
        ...

    async def cancel(self, caller: Caller, turn_id: str) -> dict[str, Any]:
        """Cancels the turn unless it has ended; the view that stands."""
        ...
