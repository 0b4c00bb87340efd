"""What a turn says while it runs: the events of its stream.

An event's id is `<epoch>-<sequence>`. The epoch is the millisecond at which the attempt that writes began, so
a later attempt's events always follow, and one that has been replaced can add nothing any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """Event names as they stand in the SSE stream."""

    TURN_STARTED = "turn.started"
    TURN_WAITING = "turn.waiting_for_approval"
    HOP_STARTED = "hop.started"
    HOP_RESTARTED = "hop.restarted"
    TOKEN = "token"
    HOP_ENDED = "hop.ended"
    TURN_COMPLETED = "turn.completed"
    TURN_FAILED = "turn.failed"
    TURN_CANCELLED = "turn.cancelled"

    @property
    def ends(self) -> bool:
        """Whether nothing follows this event."""
        return self in {EventKind.TURN_COMPLETED, EventKind.TURN_FAILED, EventKind.TURN_CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEvent:
    """One event as a reader gets it. `id` resumes the stream after it; `data` is a JSON object.

    A token's data is `{"text", "offset"}` (offset: characters of answer before it), with `tool_calls` or
    `logprobs` where the model gave them. While a person is asked before a rung is, `turn.waiting_for_approval`
    says by which approval; whatever comes after it says that this is over. The three ends carry the whole turn as
    the API shows it.
    """

    id: str
    kind: EventKind
    data: Mapping[str, Any]
