"""Rows as the activities see them: a turn's context, its answer, what recording one came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activities.contracts.agents import AgentTexts
from activities.contracts.chat import FinishReason, JsonObject, Message, Sampling, ToolCall, Usage
from activities.contracts.policy import Bounds, Spending
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
class CallCost:
    """What one call cost in nano-dollars, and what its tokens would have cost on the reference model."""

    nano_usd: int = 0
    reference_nano_usd: int = 0
    local: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCall:
    """The call that money is set aside for. `local`: it does not leave the building."""

    tenant_id: str
    turn_id: str
    step: int
    backend: str
    model: str
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Whether the money could be set aside, and all that is spent and set aside, as of just before.

    `cap` names the span (turn, day, month) whose cap a refused call would break. None of a refused one: there is
    nothing to call for any more, as the step has its answer or the turn its end.
    """

    granted: bool
    cap: str | None
    spending: Spending


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What a step needs to know: the messages, oldest first, how to sample, and an answer already there.

    `agent` is whom the turn speaks as, `earlier` the answers of the turn's earlier steps that were asked for.
    `history` are the messages of earlier turns of the conversation (already bounded in bytes, newest
    kept), `input` the turn's own. `status` may be an end: then there is nothing to ask.
    """

    status: TurnStatus
    input: tuple[Message, ...]
    history: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    agent: AgentTexts | None = None
    answer: Answer | None = None
    earlier: Mapping[int, Answer] = field(default_factory=dict[int, Answer])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart:
    """What starting a turn's workflow needs of its row. `preview` is the head of its last message.

    `fairness_weight` is its tenant's at the time of the start.
    """

    status: TurnStatus
    model: str
    effort: int
    effort_why: str
    intent: str
    intent_why: str
    priority: int
    policy: Bounds
    prompt_tokens: int
    answer_tokens: int
    preview: str
    fairness_weight: float = 1.0
