"""How each make of OpenAI-compatible server wants to be asked, as data.

Sources: vLLM's OpenAI server page, llama.cpp `tools/server/README.md`, platform.openai.com/docs,
api-docs.deepseek.com, ai.google.dev/gemini-api/docs/openai.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from activities.contracts.backends import Dialect, Thinking
from activities.contracts.chat import JsonObject, Message
from infra.llm.normalise import as_said, strictly_alternating

Normalise = Callable[..., tuple[Message, ...]]


class Prefill(StrEnum):
    """How a server is asked to go on from the last message rather than to answer it."""

    IMPLIED = "implied"
    """It does so whenever the last message is the assistant's."""
    VLLM = "vllm"
    """`continue_final_message`, and no generation prompt."""
    MARKED = "marked"
    """`prefix: true` on that message (DeepSeek, at its `/beta` base URL)."""


class Tokenize(StrEnum):
    """Where a server counts tokens, below its root."""

    PROBE = "probe"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """One dialect. `ends_with_done`: a stream without `[DONE]` was cut, whatever it said before."""

    max_tokens: str = "max_tokens"
    ends_with_done: bool = True
    prefill: Prefill = Prefill.IMPLIED
    tokenize: Tokenize = Tokenize.PROBE
    replays_reasoning: bool = False
    normalise: Normalise = as_said
    thinking: Mapping[Thinking, JsonObject] = field(default_factory=dict[Thinking, JsonObject])


def _templated(effort: str | None) -> JsonObject:
    """Qwen-like chat templates take a switch; templates with levels (gpt-oss) read the effort."""
    switch = {"chat_template_kwargs": {"enable_thinking": effort is not None}}
    return switch if effort is None else switch | {"reasoning_effort": effort}


def _deepseek(effort: str) -> JsonObject:
    return {"thinking": {"type": "enabled"}, "reasoning_effort": effort}


def _efforts(off: str, low: str, high: str, most: str) -> Mapping[Thinking, JsonObject]:
    named = {Thinking.OFF: off, Thinking.LOW: low, Thinking.HIGH: high, Thinking.MAX: most}
    return {thinking: {"reasoning_effort": effort} for thinking, effort in named.items()}


_TEMPLATED: Mapping[Thinking, JsonObject] = {
    Thinking.OFF: _templated(None),
    Thinking.LOW: _templated("low"),
    Thinking.HIGH: _templated("high"),
    Thinking.MAX: _templated("high"),
}

MANNERS: Mapping[Dialect, Manner] = {
    Dialect.GENERIC: Manner(ends_with_done=False),
    Dialect.VLLM: Manner(prefill=Prefill.VLLM, tokenize=Tokenize.VLLM, thinking=_TEMPLATED),
    Dialect.LLAMACPP: Manner(tokenize=Tokenize.LLAMACPP, thinking=_TEMPLATED),
    Dialect.OPENAI: Manner(
        max_tokens="max_completion_tokens", thinking=_efforts("none", "low", "high", "xhigh")
    ),
    Dialect.DEEPSEEK: Manner(
        prefill=Prefill.MARKED,
        replays_reasoning=True,
        normalise=strictly_alternating,
        thinking={
            Thinking.OFF: {"thinking": {"type": "disabled"}},
            Thinking.LOW: _deepseek("low"),
            Thinking.HIGH: _deepseek("high"),
            Thinking.MAX: _deepseek("max"),
        },
    ),
    Dialect.GEMINI: Manner(ends_with_done=False, thinking=_efforts("none", "low", "high", "high")),
}
