"""Conversations as a provider's template demands them. No content is lost, and twice is as once.

The rules for strict templates are DeepSeek's: one system message, and first; no two neighbours of one role,
but for tool messages; each tool call answered directly by one tool message, in order; never the assistant
last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from activities.contracts.chat import Message, Role, ToolCall

JOINT = "\n\n"
NUDGE = Message(role=Role.USER, content="Continue.")
OPENING = Message(role=Role.USER, content="Hello.")


def as_said(messages: Sequence[Message], *, continues: bool = False) -> tuple[Message, ...]:
    """The conversation untouched."""
    del continues
    return tuple(messages)


def strictly_alternating(messages: Sequence[Message], *, continues: bool = False) -> tuple[Message, ...]:
    """The conversation as DeepSeek's template accepts it.

    `continues` leaves an assistant message last, to be gone on from. A call that has no result, and a result
    that has no call, say nothing that a model could use without the other, and are dropped.
    """
    lead = 0
    while lead < len(messages) and messages[lead].role is Role.SYSTEM:
        lead += 1
    system = _merged(messages[:lead])
    rest = [
        replace(message, role=Role.USER) if message.role is Role.SYSTEM else message
        for message in messages[lead:]
    ]
    spoken = _merged(_paired(rest))
    if not spoken and system:
        # Nothing but instructions: they are what is asked.
        return tuple(replace(message, role=Role.USER) for message in system)
    if spoken and spoken[-1].role is Role.ASSISTANT and not continues:
        spoken.append(NUDGE)
    return (*system, *spoken)


def user_first(messages: Sequence[Message], *, continues: bool = False) -> tuple[Message, ...]:
    """The conversation as Anthropic accepts it: as above, nothing blank, and opened by the user."""
    worded = [m for m in messages if m.role is Role.TOOL or m.tool_calls or m.content.strip()]
    strict = strictly_alternating(worded, continues=continues)
    lead = 0
    while lead < len(strict) and strict[lead].role is Role.SYSTEM:
        lead += 1
    if lead < len(strict) and strict[lead].role is Role.ASSISTANT:
        return (*strict[:lead], OPENING, *strict[lead:])
    return strict


def _paired(messages: Sequence[Message]) -> list[Message]:
    """Each assistant's calls with their results directly behind them, in the order of the calls."""
    taken: set[int] = set()
    paired: list[Message] = []
    for index, message in enumerate(messages):
        if message.role is Role.TOOL:
            continue
        if not message.tool_calls:
            paired.append(message)
            continue
        found = [(call, _result(messages, index, call, taken)) for call in message.tool_calls]
        answered = tuple(call for call, result in found if result)
        if answered or message.content.strip():
            paired.append(replace(message, tool_calls=answered))
        paired.extend(result for _, result in found if result)
    return paired


def _result(messages: Sequence[Message], asked_at: int, call: ToolCall, taken: set[int]) -> Message | None:
    """The call's result: the first one behind it, before the same id is called again."""
    for index in range(asked_at + 1, len(messages)):
        message = messages[index]
        if any(later.id == call.id for later in message.tool_calls):
            return None
        if message.role is Role.TOOL and message.tool_call_id == call.id and index not in taken:
            taken.add(index)
            return message
    return None


def _merged(messages: Iterable[Message]) -> list[Message]:
    """Neighbours of one role as one message. Tool messages stand alone, and so do calls that have results."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is None or last.role is not message.role or message.role is Role.TOOL or last.tool_calls:
            merged.append(message)
        else:
            merged[-1] = _joined(last, message)
    return merged


def _joined(first: Message, second: Message) -> Message:
    name = first.name if first.name == second.name else None
    texts = [first.content, second.content]
    if name is None:
        # Two speakers in one message: the names go where the words are.
        texts = [
            f"{message.name}: {text}" if message.name else text
            for message, text in zip((first, second), texts, strict=True)
        ]
    return replace(
        second,
        name=name,
        content=JOINT.join(text for text in texts if text),
        reasoning=JOINT.join(text for text in (first.reasoning, second.reasoning) if text),
    )
