"""Gathering a streamed answer into one: its text, its tool calls, its numbers."""

from dataclasses import dataclass, field
from typing import Any

from activities.contracts.chat import ChatChunk, FinishReason, JsonObject, ToolCall, ToolCallDelta, Usage
from activities.contracts.records import Answer
from activities.errors import AnswerEmpty, AnswerMalformed


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class Gathering:
    """An answer as it grows. `offset` is the number of characters of text so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[JsonObject] = []
        self._finish: FinishReason | None = None
        self.usage = Usage()
        self.model: str | None = None
        self.offset = 0

    def take(self, chunk: ChatChunk) -> dict[str, Any] | None:
        """Adds a chunk; returns the data of the token event that it makes, or None where it shows nothing."""
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        self._finish = chunk.finish_reason or self._finish
        if not (chunk.text or chunk.reasoning or chunk.tool_calls or chunk.logprobs):
            return None
        event: dict[str, Any] = {"text": chunk.text, "offset": self.offset}
        if chunk.text:
            self._text.append(chunk.text)
            self.offset += len(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
            event["reasoning"] = chunk.reasoning
        if chunk.tool_calls:
            event["tool_calls"] = [self._take_call(delta) for delta in chunk.tool_calls]
        if chunk.logprobs:
            self._logprobs.extend(chunk.logprobs)
            event["logprobs"] = list(chunk.logprobs)
        return event

    def answer(self, step: int, backend: str, asked: str) -> Answer:
        """The whole answer. Raises `AnswerEmpty` for one that says nothing, `AnswerMalformed` for bad calls."""
        text = "".join(self._text)
        calls = tuple(
            ToolCall(id=call.id or f"call_{index}", name=call.name, arguments="".join(call.arguments))
            for index, call in sorted(self._calls.items())
        )
        if not text.strip() and not calls:
            raise AnswerEmpty(f"{backend} finished ({self._finish or 'no reason given'}) without an answer")
        if any(not call.name for call in calls):
            raise AnswerMalformed(f"{backend} called a tool without naming it")
        return Answer(
            step=step,
            text=text,
            finish_reason=self._finish or (FinishReason.TOOL_CALLS if calls else FinishReason.STOP),
            backend=backend,
            model=self.model or asked,
            tool_calls=calls,
            reasoning="".join(self._reasoning),
            logprobs=tuple(self._logprobs),
            usage=self.usage,
        )

    def _take_call(self, delta: ToolCallDelta) -> dict[str, Any]:
        call = self._calls.setdefault(delta.index, _Call())
        call.id = delta.id or call.id
        call.name = delta.name or call.name
        call.arguments.append(delta.arguments)
        return {"index": delta.index, "id": delta.id, "name": delta.name, "arguments": delta.arguments}
