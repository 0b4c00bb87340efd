"""The REST surface in types: what is taken is checked by these models, what is given is described by them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from activities.contracts.chat import FinishReason, Role
from activities.contracts.policy import Intent
from activities.contracts.turn import HopOutcome, TurnStatus
from api.policies import PolicyBody, PolicyView
from api.shapes import Given, JsonObject, Taken

EXAMPLE_TURN = "turn_01k5h6v9c2m8r4t0x3z7q5w1ne"
EXAMPLE_CONVERSATION = "conv_01k5h6v9c1d3f5g7h9j2k4m6np"
MOST_MESSAGES = 4096


class ToolCallBody(Taken):
    """A tool that the assistant called. `arguments` is JSON text, as the model wrote it."""

    id: str = Field(min_length=1, max_length=128)
    name: str = Field(min_length=1, max_length=128)
    arguments: str


class MessageBody(Taken):
    """One message. `tool_calls` only from an assistant; `tool_call_id` on a tool's result, and only there."""

    role: Role
    content: str = ""
    name: str | None = Field(default=None, min_length=1, max_length=128)
    tool_calls: tuple[ToolCallBody, ...] = Field(default=(), max_length=128)
    tool_call_id: str | None = Field(default=None, min_length=1, max_length=128)


def _shape(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<messages>"


Input = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[tuple[MessageBody, ...], Field(min_length=1, max_length=MOST_MESSAGES), Tag("<messages>")],
    Discriminator(_shape),
]
MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class TurnBody(Taken):
    """A turn to answer. Everything but `input` may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"input": "Why is the sky blue?"},
                {"input": "And at sunset?", "conversation_id": EXAMPLE_CONVERSATION, "effort": 5},
            ]
        }
    )

    input: Input = Field(
        description="A user message as text, or messages of which the last is from a user or a tool."
    )
    conversation_id: str | None = Field(
        default=None,
        description="The conversation to go on with, whose turns are answered in order; else a new one begins.",
        examples=[EXAMPLE_CONVERSATION],
    )
    model: str = Field(
        default="auto",
        min_length=1,
        max_length=200,
        description="`auto` climbs the key's ladder, `auto:NAME` another; a model's name pins that model.",
    )
    effort: int | None = Field(
        default=None,
        ge=1,
        le=10,
        description="How hard to try. Unless given it is the agent's or the configured one, or is estimated.",
    )
    agent: str | None = Field(
        default=None, max_length=128, description="The agent that is to answer, in its newest version."
    )
    policy: PolicyBody | None = None
    priority: int | None = Field(
        default=None,
        ge=1,
        le=5,
        description="1 is the most urgent. The key's ceiling unless given, and never above it.",
    )
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict, max_length=16, description="Kept with the turn and given back with it."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Tokens to generate at most."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: tuple[str, ...] = Field(default=(), max_length=4, description="Texts at which generation stops.")
    response_format: JsonObject | None = Field(
        default=None, description="As in OpenAI's chat completions: text, json_object or json_schema."
    )


class ToolCallView(Given):
    """A tool that the answer calls."""

    id: str
    name: str
    arguments: str


class AnswerView(Given):
    """What was answered, and by whom. `logprobs` are the backend's own, where they were asked for."""

    text: str
    finish_reason: FinishReason
    tool_calls: list[ToolCallView]
    reasoning: str
    logprobs: list[JsonObject] | None
    backend: str
    model: str


class UsageView(Given):
    """Tokens as the backend counted them; cached are part of prompt, reasoning part of completion."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int


class HopView(Given):
    """One entry of the route: who was asked, what came of it and why, how long it took, what it cost."""

    step: int
    rung: str
    pool: str
    backend: str
    model: str
    outcome: HopOutcome
    why: str
    model_served: str | None
    locality: Literal["local", "cloud"]
    waited_ms: int
    ran_ms: int
    first_token_ms: int | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float


class ErrorView(Given):
    """Why a turn failed: a stable code, and what to do next."""

    code: str
    message: str


class LinksView(Given):
    """Where to go from a turn: itself, its events, its trace in Temporal's UI, and how to cancel it."""

    self: str
    events: str
    trace: str
    cancel: str


class InputMessageView(Given):
    """A message of the turn's input, as it was stored."""

    role: Role
    content: str
    name: str | None
    tool_calls: list[ToolCallView]
    tool_call_id: str | None
    reasoning: str


class WaitingView(Given):
    """The approval that a turn waits for: its own id is known to `/v1/approvals`."""

    approval_id: str
    kind: str
    title: str
    cost_usd: float | None
    leaves_building: bool
    deadline: datetime


class TurnView(Given):
    """A turn: where it stands, its answer or error, and the route that it took."""

    id: str = Field(examples=[EXAMPLE_TURN])
    status: TurnStatus
    waiting_for: WaitingView | None = Field(description="Set while it runs and a person is asked.")
    conversation_id: str | None = Field(examples=[EXAMPLE_CONVERSATION])
    model: str = Field(examples=["auto"])
    effort: int
    effort_why: str
    intent: Intent | None = Field(description="What the question wants done.")
    intent_why: str | None
    priority: int
    agent: str | None
    agent_version: int | None
    policy: PolicyView
    metadata: dict[str, str]
    answer: AnswerView | None = Field(description="Null until the turn has completed.")
    usage: UsageView
    cost_usd: float
    reference_cost_usd: float = Field(
        description="What the same tokens would have cost on the configured reference model."
    )
    route: list[HopView]
    error: ErrorView | None = Field(description="Set when the turn has failed.")
    accepted_at: datetime
    ended_at: datetime | None
    links: LinksView


class TurnWithInput(TurnView):
    """A turn with its input."""

    input: list[InputMessageView]


class TurnAccepted(Given):
    """A turn that is safe and will come to an end; follow `links`."""

    id: str = Field(examples=[EXAMPLE_TURN])
    status: TurnStatus
    conversation_id: str | None = Field(examples=[EXAMPLE_CONVERSATION])
    links: LinksView


class PageLinks(Given):
    """The address of the next page; null on the last one."""

    next: str | None


class TurnPage(Given):
    """A page of turns, newest first. `next_cursor` asks for the page after it."""

    data: list[TurnView]
    next_cursor: str | None
    links: PageLinks


class FieldProblem(Given):
    """What is wrong with one field, such as `input[0].content`."""

    field: str
    message: str


class ProblemView(Given):
    """A problem (RFC 9457). `detail` says what to do next."""

    type: str = Field(examples=["urn:aither:problem:invalid_request"])
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None


class PartHealth(Given):
    """How one part of the platform answers."""

    state: Literal["up", "away"]
    ms: float = Field(description="Milliseconds until it answered.")


class HealthView(Given):
    """`ok`; `degraded` (turns are accepted, but wait or are followed more slowly); `unavailable`; `stopping`."""

    status: Literal["ok", "degraded", "unavailable", "stopping"]
    version: str
    parts: dict[str, PartHealth]
