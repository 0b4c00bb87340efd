"""The messages of a chat request: their shapes as OpenAI defines them, and as our contracts hold them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from activities.contracts.chat import Message, Role, ToolCall
from api.openai_compat.errors import CompatError
from api.openai_compat.reading import invalid

Name = Annotated[str, Meta(min_length=1, max_length=64)]
CallId = Annotated[str, Meta(min_length=1, max_length=256)]


class TextPart(Struct, tag="text", tag_field="type", forbid_unknown_fields=True, frozen=True):
    """A piece of text. The two hints about caching change no answer and are passed over."""

    text: str
    prompt_cache_breakpoint: Any = None
    cache_control: Any = None


class RefusalPart(Struct, tag="refusal", tag_field="type", forbid_unknown_fields=True, frozen=True):
    """What an assistant said when it refused."""

    refusal: str


class ImagePart(Struct, tag="image_url", tag_field="type", frozen=True):
    """Known, so that it can be refused by name."""


class AudioPart(Struct, tag="input_audio", tag_field="type", frozen=True):
    """Known, so that it can be refused by name."""


class FilePart(Struct, tag="file", tag_field="type", frozen=True):
    """Known, so that it can be refused by name."""


class CalledFunction(Struct, forbid_unknown_fields=True, frozen=True):
    """The function of a call; `arguments` is JSON text."""

    name: Name
    arguments: str


class Call(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A tool call that an assistant made. `index` comes from clients that put streamed pieces together."""

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class _Spoken(Struct, tag_field="role", forbid_unknown_fields=True, frozen=True, kw_only=True):
    name: Name | None = None


class SystemMessage(_Spoken, tag="system", frozen=True, kw_only=True):
    """Instructions."""

    content: str | list[TextPart]


class DeveloperMessage(_Spoken, tag="developer", frozen=True, kw_only=True):
    """Instructions, by their newer name."""

    content: str | list[TextPart]


class UserMessage(_Spoken, tag="user", frozen=True, kw_only=True):
    """What the user says."""

    content: str | list[TextPart | ImagePart | AudioPart | FilePart]


class AssistantMessage(_Spoken, tag="assistant", frozen=True, kw_only=True):
    """What the assistant said before. A reply may be sent back as it came, with fields that say nothing."""

    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[Call] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    annotations: Any = None
    audio: Any = None
    function_call: Any = None


class ToolMessage(_Spoken, tag="tool", frozen=True, kw_only=True):
    """What a tool returned."""

    content: str | list[TextPart]
    tool_call_id: CallId


ChatMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


def to_messages(messages: Sequence[ChatMessage], *, continued: bool) -> tuple[Message, ...]:
    """The messages as contracts. `continued`: the calls that they answer may stand in earlier turns."""
    called: set[str] = set()
    found: list[Message] = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        match message:
            case SystemMessage() | DeveloperMessage():
                found.append(_message(Role.SYSTEM, message.content, message, at))
            case UserMessage():
                found.append(_message(Role.USER, message.content, message, at))
            case AssistantMessage():
                found.append(_assistant(message, at))
                called.update(call.id for call in found[-1].tool_calls)
            case ToolMessage():
                if not continued and message.tool_call_id not in called:
                    raise invalid(
                        f"{at}.tool_call_id",
                        f"'{at}.tool_call_id' answers no tool call of an assistant message before it.",
                    )
                found.append(_message(Role.TOOL, message.content, message, at))
    return tuple(found)


_CANNOT: dict[type[Any], str] = {
    ImagePart: "sees images",
    AudioPart: "hears audio",
    FilePart: "reads files",
}


def _message(role: Role, content: str | Sequence[Any], message: ChatMessage, at: str) -> Message:
    return Message(
        role=role,
        content=content if isinstance(content, str) else _joined(content, at),
        name=message.name,
        tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else None,
    )


def _assistant(message: AssistantMessage, at: str) -> Message:
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            raise CompatError(
                400, f"'{at}.{name}' is not supported.", code="unsupported_parameter", param=f"{at}.{name}"
            )
    content = message.content
    if content is None:
        content = message.refusal or ""
        if not content and not message.tool_calls:
            raise invalid(
                f"{at}.content", f"'{at}.content' may only be null in a message that has 'tool_calls'."
            )
    return Message(
        role=Role.ASSISTANT,
        content=content if isinstance(content, str) else _joined(content, at),
        name=message.name,
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        reasoning=message.reasoning_content or "",
    )


def _joined(parts: Sequence[Any], at: str) -> str:
    texts: list[str] = []
    for index, part in enumerate(parts):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        else:
            kind = _CANNOT[type(part)]
            raise invalid(
                f"{at}.content[{index}]",
                f"No configured backend {kind}: '{at}.content[{index}]' must be a text part.",
                "unsupported_content",
            )
    return "\n".join(texts)
