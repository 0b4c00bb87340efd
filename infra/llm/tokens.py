"""How many tokens a prompt can have at most, where nobody can be asked."""

from collections.abc import Sequence

from activities.contracts.chat import Message

TOKENS_A_CONVERSATION = 128
"""A template's own preamble: SmolLM2 and Qwen add a system message of theirs, Llama 3 the date."""
TOKENS_A_MESSAGE = 16
"""Role markers, and the newlines around them."""
TOKENS_A_TOOL_CALL = 32
"""The tags and the JSON around a tool call's name and arguments."""


def upper_bound(messages: Sequence[Message]) -> int:
    """Never fewer than a byte-level BPE tokenizer makes of these messages: no token is less than a byte."""
    return TOKENS_A_CONVERSATION + sum(_of(message) for message in messages)


def _of(message: Message) -> int:
    texts = [message.content, message.name or "", message.tool_call_id or "", message.reasoning]
    for call in message.tool_calls:
        texts += (call.id, call.name, call.arguments)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return size + TOKENS_A_MESSAGE + TOKENS_A_TOOL_CALL * len(message.tool_calls)
