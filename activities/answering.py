"""Gathering a streamed answer into one: its text, its tool calls, its numbers."""

from dataclasses import dataclass, field
from typing import Any

from activities.contracts.chat import ChatChunk, FinishReason, JsonObject, ToolCall, ToolCallDelta, Usage
from activities.contracts.records import Answer
from activities.errors import AnswerMalformed

REASON = "reason"
"""The tool by which a model hands a question on. It is ours: clients never see a call of it."""


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class Gathering:
    """An answer as it grows. `offset` is the number of characters of text so far.

    `prefix` is text that the client has already, from an attempt or a backend that broke off: this answer goes
    on from it, and white space at the seam is kept once. `hides_reason` keeps calls of our tool from the client.
    """

    def __init__(self, prefix: str = "", *, hides_reason: bool = True) -> None:
        self._text: list[str] = [prefix] if prefix else []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[JsonObject] = []
        self._finish: FinishReason | None = None
        self._hidden = REASON if hides_reason else ""
        self._seam = prefix[len(prefix.rstrip()) :]
        self.usage = Usage()
        self.model: str | None = None
        self.offset = len(prefix)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def take(self, chunk: ChatChunk) -> dict[str, Any] | None:
        """Adds a chunk; returns the data of the token event that it makes, or None where it shows nothing."""
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        self._finish = chunk.finish_reason or self._finish
        # What is told and what is recorded are counted alike, and a NUL cannot be recorded.
        text = chunk.text.replace("\x00", "") if "\x00" in chunk.text else chunk.text
        text = self._past_seam(text) if self._seam else text
        if not (text or chunk.reasoning or chunk.tool_calls or chunk.logprobs):
            return None
        event: dict[str, Any] = {"text": text, "offset": self.offset}
        if text:
            self._text.append(text)
            self.offset += len(text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
            event["reasoning"] = chunk.reasoning
        if chunk.tool_calls and (calls := self._take_calls(chunk.tool_calls)):
            event["tool_calls"] = calls
        if chunk.logprobs:
            self._logprobs.extend(chunk.logprobs)
            event["logprobs"] = list(chunk.logprobs)
        return event

    def answer(self, step: int, backend: str, asked: str) -> Answer:
        """The whole answer. Raises `AnswerMalformed` for a call of a tool without a name."""
        calls = tuple(
            ToolCall(id=call.id or f"call_{index}", name=call.name, arguments="".join(call.arguments))
            for index, call in sorted(self._calls.items())
        )
        if any(not call.name for call in calls):
            raise AnswerMalformed(f"{backend} called a tool without naming it")
        return Answer(
            step=step,
            text=self.text,
            finish_reason=self._finish or (FinishReason.TOOL_CALLS if calls else FinishReason.STOP),
            backend=backend,
            model=self.model or asked,
            tool_calls=calls,
            reasoning="".join(self._reasoning),
            logprobs=tuple(self._logprobs),
            usage=self.usage,
        )

    def partial(self, step: int, backend: str, asked: str) -> Answer | None:
        """The text of an answer that broke off; None where there is nothing to go on from."""
        if not self.text.strip():
            return None
        return Answer(
            step=step,
            text=self.text,
            finish_reason=FinishReason.LENGTH,
            backend=backend,
            model=self.model or asked,
        )

    def _past_seam(self, text: str) -> str:
        """The text without the white space that the prefix ended in already: the model was not shown it."""
        while text and self._seam and text[0] == self._seam[0]:
            text, self._seam = text[1:], self._seam[1:]
        if text:
            self._seam = ""
        return text

    def _take_calls(self, deltas: tuple[ToolCallDelta, ...]) -> list[dict[str, Any]]:
        """Adds the pieces; returns those that a client may see."""
        seen: list[dict[str, Any]] = []
        for delta in deltas:
            call = self._calls.setdefault(delta.index, _Call())
            call.id = delta.id or call.id
            call.name = delta.name or call.name
            call.arguments.append(delta.arguments)
            if not self._hidden or call.name != self._hidden:
                seen.append(
                    {"index": delta.index, "id": delta.id, "name": delta.name, "arguments": delta.arguments}
                )
        return seen
