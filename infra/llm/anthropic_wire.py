"""The events of a streamed Anthropic message, read into chunks."""

from typing import Any

import msgspec

from activities.contracts.chat import ChatChunk, FinishReason, ToolCallDelta, Usage
from infra.llm.failures import Failures

FINISHES = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


class _Details(msgspec.Struct):
    thinking_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str = ""


class _Delta(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class EventReader:
    """Reads one message's events.

    `continued` is the text that the answer goes on from: white space at its end had to be left out of the
    request, so it is left out of the answer, too, where the model writes it again.
    """

    def __init__(self, failures: Failures, continued: str = "") -> None:
        self._failures = failures
        self._seam = continued[len(continued.rstrip()) :]
        self._tools: dict[int, int] = {}
        self._wordless: set[int] = set()
        self._usage: dict[str, int] = {}
        self._finished = False
        self.ended = False

    @property
    def whole(self) -> bool:
        """Whether the message was stopped, rather than its stream."""
        return self.ended

    def read(self, data: bytes) -> ChatChunk | None:
        """The chunk, or None where it says nothing.

        Raises `AnswerMalformed`, what an error event means, and `BackendUnavailable` for an end that comes
        before the message had stopped.
        """
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._failures.malformed("an event that is not a message's") from error
        match event.type:
            case "message_start":
                message = event.message or _Message()
                self._count(message.usage)
                return ChatChunk(model=message.model)
            case "content_block_start":
                return self._opened(event.index, event.content_block or _Block())
            case "content_block_delta":
                return self._grown(event.index, event.delta or _Delta())
            case "content_block_stop":
                return self._closed(event.index)
            case "message_delta":
                return self._stopped(event)
            case "message_stop":
                if not self._finished:
                    raise self._failures.cut()
                self.ended = True
            case "error":
                raise self._failures.of_error_object({"error": event.error})
            case _:  # pings, and what is yet to be invented: the API says to pass over it
                pass
        return None

    def close(self, rest: bytes) -> None:
        """Nothing stands behind a message_stop."""

    def _opened(self, index: int, block: _Block) -> ChatChunk | None:
        if block.type != "tool_use":
            return ChatChunk(text=self._joined(block.text)) if block.text else None
        self._tools[index] = len(self._tools)
        self._wordless.add(index)
        return ChatChunk(tool_calls=(ToolCallDelta(index=self._tools[index], id=block.id, name=block.name),))

    def _grown(self, index: int, delta: _Delta) -> ChatChunk | None:
        if delta.partial_json and index in self._tools:
            self._wordless.discard(index)
            piece = ToolCallDelta(index=self._tools[index], arguments=delta.partial_json)
            return ChatChunk(tool_calls=(piece,))
        text = self._joined(delta.text)
        return ChatChunk(text=text, reasoning=delta.thinking) if text or delta.thinking else None

    def _closed(self, index: int) -> ChatChunk | None:
        if index not in self._wordless:
            return None
        # A call without arguments streams none; in the terms of everyone else they are an empty object.
        return ChatChunk(tool_calls=(ToolCallDelta(index=self._tools[index], arguments="{}"),))

    def _stopped(self, event: _Event) -> ChatChunk | None:
        self._count(event.usage)
        word = event.delta.stop_reason if event.delta else None
        if word is None:
            return None
        if word not in FINISHES:
            raise self._failures.malformed(f"a stop_reason that is not known ({word[:40]})")
        self._finished = True
        return ChatChunk(finish_reason=FINISHES[word], usage=self._counted())

    def _joined(self, text: str) -> str:
        """The text without the white space that stands before it already."""
        while self._seam and text:
            if not self._seam.startswith(text[0]):
                self._seam = ""
                break
            self._seam, text = self._seam[1:], text[1:]
        return text

    def _count(self, usage: _Usage | None) -> None:
        """Counts are cumulative, and the later event leaves out what has not changed."""
        if usage is None:
            return
        seen = {
            name: getattr(usage, name) for name in usage.__struct_fields__ if name != "output_tokens_details"
        }
        self._usage |= {name: count for name, count in seen.items() if count is not None}
        if usage.output_tokens_details:
            self._usage["thinking_tokens"] = usage.output_tokens_details.thinking_tokens

    def _counted(self) -> Usage:
        count = self._usage.get
        cached = count("cache_read_input_tokens", 0)
        return Usage(
            prompt_tokens=count("input_tokens", 0) + count("cache_creation_input_tokens", 0) + cached,
            completion_tokens=count("output_tokens", 0),
            cached_tokens=cached,
            reasoning_tokens=count("thinking_tokens", 0),
        )
