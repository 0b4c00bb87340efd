"""What the client of a stream has been told, and what of each event is news to it.

A backend may die in mid-answer and another attempt start over, and what has been sent cannot be taken back.
So a new attempt is silent for as long as it repeats what was sent, goes on from where it adds to it, and ends
the stream with an error where it says something else. What is provisional, because a later hop may replace
it, is not sent at all before it stands. A stream never ends cleanly with less, or other, than what was recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.contracts.events import EventKind, TurnEvent
from api.openai_compat.errors import CompatError, turn_error
from api.openai_compat.wire import Chunks


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Transcript:
    """Turns a turn's events into the bytes of its stream. `ended`: the turn is over, however it went."""

    def __init__(self, chunks: Chunks) -> None:
        self.ended = False
        self._chunks = chunks
        self._opened = False
        self._texts: list[str] = []
        self._length = 0
        self._calls: dict[int, _Call] = {}
        self._attempt: dict[int, _Call] = {}
        self._provisional = False
        self._reasoned = False
        self._reasons = True

    def take(self, event: TurnEvent) -> bytes:
        """What to send, which may be nothing. Raises `CompatError` where the stream cannot end well."""
        match event.kind:
            case EventKind.TOKEN if not self._provisional:
                return self._token(event.data)
            case EventKind.HOP_STARTED | EventKind.HOP_RESTARTED:
                self._attempt = {}
                self._reasons = not self._reasoned
                self._provisional = event.data.get("provisional", self._provisional)
                if model := event.data.get("model"):
                    self._chunks.served_by(model)
            case EventKind.TURN_COMPLETED:
                return self._end(event.data)
            case EventKind.TURN_FAILED | EventKind.TURN_CANCELLED:
                self.ended = True
                raise turn_error(event.data)
            case _:
                pass
        return b""

    def _token(self, data: Mapping[str, Any]) -> bytes:
        out = b""
        if (reasoning := data.get("reasoning")) and self._reasons:
            # Thoughts are not the answer: those of the first attempt that had any stand.
            self._reasoned = True
            out = self._chunks.delta({"reasoning_content": reasoning})
        text, logprobs = data["text"], data.get("logprobs")
        if text or logprobs:
            whole = data["offset"] == self._length
            fresh = self._fresh(text, data["offset"])
            if logprobs and whole:
                out += self._chunks.delta({"content": fresh}, logprobs)
            elif fresh:
                out += self._chunks.text(fresh)
        for delta in data.get("tool_calls") or ():
            call = self._attempt.setdefault(delta["index"], _Call())
            call.id = call.id or delta.get("id") or ""
            call.name = call.name or delta.get("name") or ""
            call.arguments += delta.get("arguments") or ""
            out += self._advance(delta["index"], call)
        return self._open() + out if out else out

    def _fresh(self, text: str, offset: int) -> str:
        """What of the text is new. Text after a gap waits for the end, which has it all."""
        if offset > self._length:
            return ""
        if offset < self._length:
            told = "".join(self._texts)[offset : offset + len(text)]
            if not text.startswith(told):
                raise _diverged()
            text = text[len(told) :]
        self._texts.append(text)
        self._length += len(text)
        return text

    def _advance(self, index: int, call: _Call) -> bytes:
        """Tells of the call what has not been told. The id that was told first stands."""
        told = self._calls.get(index)
        if told is None:
            if not call.name:
                return b""
            self._calls[index] = _Call(call.id, call.name, call.arguments)
            function = {"name": call.name, "arguments": call.arguments}
            delta = {
                "index": index,
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": function,
            }
            return self._chunks.delta({"tool_calls": [delta]})
        if call.name != told.name and call.name:
            raise _diverged()
        if told.arguments.startswith(call.arguments):
            return b""
        if not call.arguments.startswith(told.arguments):
            raise _diverged()
        rest = call.arguments[len(told.arguments) :]
        told.arguments = call.arguments
        return self._chunks.delta({"tool_calls": [{"index": index, "function": {"arguments": rest}}]})

    def _end(self, view: Mapping[str, Any]) -> bytes:
        self.ended = True
        answer = view["answer"]
        if answer is None:
            raise turn_error(view)
        self._chunks.served_by(answer["model"])
        out = self._rest(answer)
        return self._open() + out + self._chunks.end(view)

    def _rest(self, answer: Mapping[str, Any]) -> bytes:
        """What the recorded answer has beyond what was told. Raises where it is another one."""
        out = b""
        if answer["reasoning"] and not self._reasoned:
            out += self._chunks.delta({"reasoning_content": answer["reasoning"]})
        # A NUL can be streamed and cannot be recorded.
        told = "".join(self._texts).replace("\x00", "")
        if not answer["text"].startswith(told):
            raise _diverged()
        if rest := answer["text"][len(told) :]:
            # Probabilities cannot be told apart by the text that they belong to: all of them, or none.
            logprobs = None if told else answer["logprobs"]
            out += self._chunks.delta({"content": rest}, logprobs) if logprobs else self._chunks.text(rest)
        calls = answer["tool_calls"]
        if len(self._calls) > len(calls):
            raise _diverged()
        for index, call in enumerate(calls):
            recorded = _Call(call["id"], call["name"], call["arguments"])
            out += self._advance(index, recorded)
            if self._calls[index].arguments != recorded.arguments:
                raise _diverged()
        return out

    def _open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        return self._chunks.delta({"role": "assistant", "content": "", "refusal": None})


def _diverged() -> CompatError:
    return CompatError(
        503,
        "The backend was lost in mid-answer, and the answer that was started over differs from what had been"
        " sent. The answer here is not whole: ask again.",
        code="answer_restarted",
    )
