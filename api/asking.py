"""What a turn is asked for with, and what its asker gets: the shapes that the API's edges share."""

from dataclasses import dataclass, field
from typing import Any

from activities.contracts.chat import Message, Sampling
from activities.contracts.policy import Bounds
from activities.contracts.turn import TurnStatus


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
    bounds: Bounds = field(default_factory=Bounds)
    priority: int | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    idempotency_key: str | None = None
    body_sha256: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTurn:
    """The turn that stands for a request; `replayed` says that its idempotency key was seen before.

    `view` is the turn as it stood then, for a replayed one.
    """

    turn_id: str
    conversation_id: str | None
    replayed: bool = False
    status: TurnStatus = TurnStatus.RUNNING
    view: dict[str, Any] | None = None
