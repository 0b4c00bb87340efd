"""Rows as the activities see them: a turn's context, its answer, what recording one came to."""

from dataclasses import dataclass, field
from typing import Any

from activities.contracts.chat import FinishReason, JsonObject, Message, Sampling, ToolCall, Usage
from activities.contracts.turn import TurnStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a step answered. Keyed by turn and step; the first one written stands.

    `continued` says that an earlier attempt's text was kept and gone on from.
    """

    step: int
    text: str
    finish_reason: FinishReason
    backend: str
    model: str
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    logprobs: tuple[JsonObject, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What a step needs to know: the messages, oldest first, how to sample, and an answer already there.

    `history` are the messages of earlier turns of the conversation (already bounded in bytes, newest
    kept), `input` the turn's own. `status` may be an end: then there is nothing to ask.
    """

    status: TurnStatus
    input: tuple[Message, ...]
    history: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What stands after recording an answer: ours or an earlier one, the turn's view, and who is next.

    `turn` is the turn as `GET /v1/turns/{id}` shows it, so that its end can be told without another read.
    """

    won: bool
    status: TurnStatus
    turn: dict[str, Any]
    next_turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTurn:
    """A turn whose row says that it should be running; its workflow may be missing."""

    tenant_id: str
    turn_id: str
