"""Fitting a conversation into a model's window: the system part and the newest messages stay."""

import json
from collections.abc import Awaitable, Callable, Sequence

from activities.contracts.chat import ChatCall, Message, Role
from activities.errors import ContextTooLong

BYTES_A_MESSAGE = 32
"""Upper bound of what a chat template adds to a message, in tokens (hence in bytes, at a token a byte)."""

BYTES_A_CONVERSATION = 128
"""Upper bound of what a template says of its own at the start."""

CountTokens = Callable[[Sequence[Message]], Awaitable[int]]


def answer_reserve(window_tokens: int, max_tokens: int | None) -> int:
    """Tokens kept free for the answer: what was asked for, at most half the window; else a quarter of it."""
    return min(max_tokens, window_tokens // 2) if max_tokens else window_tokens // 4


async def fit(messages: tuple[Message, ...], budget_tokens: int, count: CountTokens) -> tuple[Message, ...]:
    """The messages that fit into `budget_tokens`: all system messages, and as many of the newest as can be.

    What is dropped is dropped in whole exchanges (from a user message to the next), so that a tool's result
    never loses its call. A token is never shorter than a byte, so nothing is counted while the bytes alone fit.
    Raises `ContextTooLong` when the system part and the last exchange do not fit by themselves.
    """
    if upper_bound(messages) <= budget_tokens or await count(messages) <= budget_tokens:
        return messages
    system = tuple(m for m in messages if m.role is Role.SYSTEM)
    rest = tuple(m for m in messages if m.role is not Role.SYSTEM)
    starts = [i for i, m in enumerate(rest) if m.role is Role.USER] or [0]
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if await count((*system, *rest[starts[middle] :])) <= budget_tokens:
            high = middle
        else:
            low = middle + 1
    kept = (*system, *rest[starts[low] :])
    needed = await count(kept)
    if needed > budget_tokens:
        raise ContextTooLong(
            f"the newest message and the system part need {needed} tokens, {budget_tokens} fit: shorten them"
        )
    return kept


def upper_bound(messages: Sequence[Message]) -> int:
    """Tokens that these messages cannot exceed: their bytes, and what a template adds."""
    return BYTES_A_CONVERSATION + sum(
        len(m.content.encode("utf-8", "replace"))
        + sum(len(c.arguments) + len(c.name) + BYTES_A_MESSAGE for c in m.tool_calls)
        + BYTES_A_MESSAGE
        for m in messages
    )


def prompt_bound(call: ChatCall) -> int:
    """Tokens that the call's whole prompt cannot exceed: its messages, and the tools and format beside them."""
    beside = (*call.sampling.tools, call.sampling.response_format)
    extra = sum(len(json.dumps(each)) + BYTES_A_MESSAGE for each in beside if each)
    return upper_bound(call.messages) + extra
