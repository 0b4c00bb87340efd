"""What the stand-in is told to answer, and what it remembers of each call."""

import asyncio
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast


class Fault(StrEnum):
    """How an answer goes wrong, after `Reply.fault_after` tokens (none: before the first byte)."""

    SILENCE = "silence"
    """Says nothing more, and keeps the connection open."""
    RESET = "reset"
    """Resets the connection (RST)."""
    BREAK = "break"
    """Closes the connection in the middle of the body (FIN)."""
    CUT = "cut"
    """Ends the body properly, but with no finish_reason and no [DONE]."""
    NO_DONE = "no_done"
    """Everything but the [DONE] (Anthropic: but the message_stop)."""
    MALFORMED = "malformed"
    """A chunk that is not JSON."""
    ERROR_CHUNK = "error_chunk"
    """An error object in mid-stream, of the reply's `error_status`."""
    NOT_JSON = "not_json"
    """A 200 whose body is an HTML page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer. Times are in seconds.

    `text` None echoes the last user message, or fits the request's JSON schema. A text that starts with the
    message that the call asks to continue is answered with what follows it. `hold_after` waits, after so many
    tokens, until the stand-in is told to `release()`.
    """

    text: str | None = None
    tokens: int | None = None
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Pairs of name and JSON arguments."""
    finish_reason: str | None = None
    model: str | None = None
    delay_s: float = 0.0
    pace_s: float = 0.0
    hold_after: int | None = None
    status: int = 200
    retry_after: str | None = None
    error: str = "scripted"
    error_code: str | None = None
    error_status: int = 500
    fault: Fault | None = None
    fault_after: int = 0
    cached_tokens: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One model call as the stand-in saw it. `text` is the last user message; `at` is the loop's time.

    `outcome` is whole, faulted or disconnected once the call has ended.
    """

    path: str
    model: str
    text: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    sent: int = 0
    outcome: str | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, outcome: str) -> None:
        self.outcome = outcome
        self._ended.set()

    async def ended(self, within_s: float = 5.0) -> str:
        """Waits for the end, and says which: whole, faulted or disconnected."""
        await asyncio.wait_for(self._ended.wait(), within_s)
        assert self.outcome
        return self.outcome


def words(count: int) -> str:
    """A text of exactly so many stand-in tokens."""
    return " ".join(f"w{number}" for number in range(count))


def tokens_of(text: str) -> list[str]:
    """The stand-in's tokens: words with the space before them. Joined, they are the text."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def content_text(content: Any) -> str:
    """The text of a message's content, whether a string or a list of parts."""
    if not isinstance(content, list):
        return str(content or "")
    parts = cast("list[dict[str, Any]]", content)
    return "".join(str(part.get("text") or part.get("content") or "") for part in parts)


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Tokens of a prompt: those of the contents, and three for each message's frame."""
    return sum(3 + len(tokens_of(content_text(message.get("content")))) for message in messages)


def fitting(schema: dict[str, Any]) -> Any:
    """The smallest value that satisfies a JSON schema of plain types."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: fitting(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "text"
