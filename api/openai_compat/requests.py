"""The parameters of a chat completion: what is taken, what is passed over, what is refused."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from activities.contracts.chat import JsonObject, Sampling
from api.openai_compat.extension import Extension
from api.openai_compat.messages import ChatMessage
from api.openai_compat.reading import invalid
from api.openai_compat.strict import Strict

ToolName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Stop = Annotated[str, Meta(min_length=1, max_length=1024)]

MOST_LEVELS = 100
"""Levels of a schema, well below what the writers and readers of JSON on its way can take."""
EFFORTS = {"none": 1, "minimal": 1, "low": 3, "medium": 6, "high": 8, "xhigh": 9, "max": 10}
"""OpenAI's `reasoning_effort` on our scale of 1 to 10."""


class FunctionSpec(Strict, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Strict, frozen=True, kw_only=True, tag="function", tag_field="type"):
    """A tool: only functions exist here."""

    function: FunctionSpec


class NamedFunction(Strict, frozen=True, kw_only=True):
    """A function by its name."""

    name: ToolName


class NamedTool(Strict, frozen=True, kw_only=True, tag="function", tag_field="type"):
    """Says which tool must be called."""

    function: NamedFunction


class TextFormat(Strict, frozen=True, kw_only=True, tag="text", tag_field="type"):
    """Plain text."""


class JsonFormat(Strict, frozen=True, kw_only=True, tag="json_object", tag_field="type"):
    """Any JSON object."""


class SchemaSpec(Strict, frozen=True, kw_only=True):
    """A named JSON schema."""

    name: ToolName
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(Strict, frozen=True, kw_only=True, tag="json_schema", tag_field="type"):
    """JSON that fits a schema."""

    json_schema: SchemaSpec


class StreamOptions(Strict, frozen=True, kw_only=True):
    """`include_obfuscation` is passed over: nothing is padded here."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A request for a chat completion.

    Passed over, since no answer depends on them: `user`, `safety_identifier`, `store` (a turn is kept as any
    turn is), `service_tier`, `prediction`, the `prompt_cache_*` hints. Refused unless they ask for what is
    done anyway: the parameters of `REFUSED`. Anything else is unknown, and refused by name.
    """

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
            Meta(max_length=16),
        ]
        | None
    ) = None
    aither: Extension | None = None

    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None

    n: int | None = None
    logit_bias: dict[str, float] | None = None
    modalities: list[str] | None = None
    verbosity: str | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    web_search_options: Any = None
    moderation: Any = None

    @property
    def effort(self) -> int | None:
        """How hard to try, 1 to 10; None leaves it to the intent router."""
        if self.aither and self.aither.effort is not None:
            return self.aither.effort
        return EFFORTS[self.reasoning_effort] if self.reasoning_effort else None


REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((None, 1), "one answer is given to a request: n must be 1"),
    "logit_bias": ((None, {}), "no backend is asked to bias single tokens"),
    "modalities": ((None, ["text"]), "answers are text"),
    "verbosity": ((None, "medium"), "ask for short or long answers in the messages"),
    "audio": ((None,), "answers are text"),
    "functions": ((None,), "use 'tools'"),
    "function_call": ((None,), "use 'tool_choice'"),
    "web_search_options": ((None,), "no backend searches the web by itself"),
    "moderation": ((None,), "answers are not moderated here"),
}
"""What would change the answer if it were passed over: the values that change nothing, why no others."""


def refuse_unsupported(chat: ChatRequest) -> None:
    """Raises a 400 for a parameter that asks for what is not done."""
    for name, (harmless, why) in REFUSED.items():
        if getattr(chat, name) not in harmless:
            raise invalid(name, f"'{name}' cannot have this value: {why}.", "unsupported_parameter")


def to_sampling(chat: ChatRequest) -> Sampling:
    """How to generate. Raises a 400 for parameters that contradict one another."""
    tools = tuple(_object("tools", tool) for tool in chat.tools or ())
    return Sampling(
        max_tokens=_max_tokens(chat),
        temperature=chat.temperature,
        top_p=chat.top_p,
        seed=chat.seed,
        stop=(chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ()),
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        logprobs=bool(chat.logprobs),
        top_logprobs=_top_logprobs(chat),
        response_format=_response_format(chat),
        tools=tools,
        tool_choice=_tool_choice(chat),
        parallel_tool_calls=chat.parallel_tool_calls if tools else None,
    )


def _max_tokens(chat: ChatRequest) -> int | None:
    old, new = chat.max_tokens, chat.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise invalid("max_tokens", "'max_tokens' and 'max_completion_tokens' are one thing, and differ.")
    return old if new is None else new


def _top_logprobs(chat: ChatRequest) -> int | None:
    if chat.top_logprobs and not chat.logprobs:
        raise invalid("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.")
    return chat.top_logprobs if chat.logprobs else None


def _response_format(chat: ChatRequest) -> JsonObject | None:
    wanted = chat.response_format
    return None if wanted is None or isinstance(wanted, TextFormat) else _object("response_format", wanted)


def _tool_choice(chat: ChatRequest) -> str | JsonObject | None:
    choice = chat.tool_choice
    if choice is None:
        return None
    if not chat.tools:
        if choice in ("none", "auto"):
            return None
        raise invalid("tool_choice", "'tool_choice' asks for a call, and there are no 'tools'.")
    if isinstance(choice, str):
        return choice
    if choice.function.name not in {tool.function.name for tool in chat.tools}:
        raise invalid("tool_choice", f"'tool_choice' names no tool of 'tools': '{choice.function.name}'.")
    return _object("tool_choice", choice)


def _object(param: str, value: Struct) -> JsonObject:
    plain = msgspec.to_builtins(value)
    if _deeper(plain, MOST_LEVELS):
        raise invalid(param, f"'{param}' is nested more than {MOST_LEVELS} levels deep.")
    return plain


def _deeper(value: Any, levels: int) -> bool:
    inner: Iterable[Any]
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    else:
        return False
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)
