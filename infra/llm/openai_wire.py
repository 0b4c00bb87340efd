"""One streamed chunk of an OpenAI chat completion, decoded and read leniently where servers differ.

The SDK's own models cost some 0.15 ms of processor time a chunk; these cost about 5 µs.
"""

from typing import Any

import msgspec

from activities.contracts.chat import ChatChunk, FinishReason, JsonObject, ToolCallDelta, Usage
from activities.errors import BackendError
from infra.llm.failures import Failures

FINISHES = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
GAVE_UP = frozenset({"abort", "error", "insufficient_system_resource"})
"""vLLM's and DeepSeek's words for an answer that they stopped themselves."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    refusal: str | None = None


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChunkReader:
    """Reads one stream's chunks. With `needs_done`, a stream without `[DONE]` is not whole."""

    def __init__(self, failures: Failures, *, needs_done: bool) -> None:
        self._failures = failures
        self._needs_done = needs_done
        self._model: str | None = None
        self._calls: dict[int, tuple[str | None, int]] = {}
        self._count = 0
        self._finished = False
        self.ended = False

    @property
    def whole(self) -> bool:
        """Whether the answer finished, and said so where it should."""
        return self._finished and (self.ended or not self._needs_done)

    def read(self, data: bytes) -> ChatChunk | None:
        """The chunk, or None where it says nothing.

        Raises `AnswerMalformed`, what an error chunk means, and `BackendUnavailable` for a `[DONE]` before
        the answer had finished.
        """
        if data == b"[DONE]":
            if not self._finished:
                raise self._failures.cut()
            self.ended = True
            return None
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._failures.malformed("a chunk that is not a chat completion's") from error
        if chunk.error is not None:
            raise self._failures.of_error_object({"error": chunk.error})
        return self._said(chunk, chunk.choices[0] if chunk.choices else _Choice())

    def close(self, rest: bytes) -> None:
        """Some servers leave out the blank line behind their `[DONE]`."""
        self.ended = self.ended or rest == b"[DONE]"

    def _said(self, chunk: _Chunk, choice: _Choice) -> ChatChunk | None:
        delta = choice.delta or _Delta()
        text = delta.content or delta.refusal or ""
        reasoning = delta.reasoning_content or delta.reasoning or ""
        calls = tuple(map(self._call, delta.tool_calls)) if delta.tool_calls else ()
        logprobs: tuple[JsonObject, ...] = ()
        if choice.logprobs and choice.logprobs.content:
            logprobs = tuple(choice.logprobs.content)
        finish = self._finish(choice.finish_reason) if choice.finish_reason else None
        usage = _usage(chunk.usage) if chunk.usage else None
        model = chunk.model if chunk.model != self._model else None
        self._model = chunk.model or self._model
        if not (text or reasoning or calls or logprobs or finish or usage or model):
            return None
        return ChatChunk(
            text=text,
            reasoning=reasoning,
            tool_calls=calls,
            logprobs=logprobs,
            finish_reason=finish,
            usage=usage,
            model=model,
        )

    def _finish(self, word: str) -> FinishReason:
        if word in GAVE_UP:
            raise self._gave_up(word)
        if word not in FINISHES:
            raise self._failures.malformed(f"a finish_reason that is not known ({word[:40]})")
        self._finished = True
        return FINISHES[word]

    def _gave_up(self, word: str) -> BackendError:
        return self._failures.of_error_object({"message": f"it stopped its answer ({word})"})

    def _call(self, call: _ToolCall) -> ToolCallDelta:
        """A tool call's piece under an index of ours: some servers give every call the index 0, or none."""
        theirs = call.index if call.index is not None else max(self._calls, default=0)
        known = self._calls.get(theirs)
        if known is None or (call.id and known[0] and call.id != known[0]):
            known = (call.id, self._count)
            self._calls[theirs] = known
            self._count += 1
        function = call.function or _Function()
        return ToolCallDelta(
            index=known[1], id=call.id, name=function.name, arguments=function.arguments or ""
        )


def _usage(usage: _Usage) -> Usage:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    reasoned = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cached_tokens=cached or usage.prompt_cache_hit_tokens or 0,
        reasoning_tokens=reasoned or 0,
    )
