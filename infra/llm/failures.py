"""The one translation of vendors' failures into the vocabulary of `activities.errors`.

What a vendor says is quoted in one short line, without keys, and not at all where it quotes the conversation:
these texts stand in workflow histories.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx2

from activities.contracts.chat import Message
from activities.errors import (
    AnswerMalformed,
    BackendError,
    BackendRateLimited,
    BackendRefusedKey,
    BackendRejected,
    BackendTimedOut,
    BackendUnavailable,
    ContextTooLong,
    ModelMissing,
)

QUOTE_CHARS = 200
TELLING_CHARS = 16
"""A quote that holds so much of a message's beginning is withheld."""
LONGEST_WAIT_S = 86_400.0

_SECRETS = re.compile(r"\b(?:sk|key|AIza)[-_A-Za-z0-9*]{8,}|Bearer\s+\S+|(?<=://)[^/@\s]+@")
_TOO_LONG = re.compile(
    r"context.?(?:length|window|size)|prompt is too long|input is too long|too many tokens"
    r"|maximum number of tokens|maximum model length|max_model_len",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model.{0,120}(?:not exist|not.?found)|unknown model", re.IGNORECASE | re.DOTALL)
_NO_MONEY = re.compile(r"insufficient.?(?:quota|balance|funds|credit)|credit balance", re.IGNORECASE)

# What is meant by these statuses is in the words, which differ from vendor to vendor.
_MEANT: tuple[tuple[frozenset[int], re.Pattern[str], type[BackendError]], ...] = (
    (frozenset({400, 429}), _NO_MONEY, BackendRefusedKey),
    (frozenset({400, 422}), _TOO_LONG, ContextTooLong),
    (frozenset({400, 404}), _NO_MODEL, ModelMissing),
)
_KINDS: Mapping[int, type[BackendError]] = {
    401: BackendRefusedKey,
    402: BackendRefusedKey,
    403: BackendRefusedKey,
    408: BackendTimedOut,
    413: ContextTooLong,
    429: BackendRateLimited,
}

# Error objects in mid-stream carry a name where an HTTP status should be.
_STATUS_OF = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "context_length_exceeded": 400,
    "request_too_large": 413,
    "overloaded_error": 529,
    "timeout_error": 504,
}


class Failures:
    """The failures of one backend. `secrets` are never quoted."""

    def __init__(self, backend: str, secrets: Iterable[str] = ()) -> None:
        self._backend = backend
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 6)

    def of_status(
        self, status: int, body: object, headers: Mapping[str, str], said: Sequence[Message] = ()
    ) -> BackendError:
        """What an HTTP status and its body mean."""
        words = _words(body)
        told = f"{self._backend} answered {status}{self._quoted(words.get('message', ''), said)}"
        kind = _kind(status, " ".join(words.values()))
        if kind in {BackendRateLimited, BackendUnavailable}:
            return kind(told, retry_after=retry_after(headers))
        return kind(told)

    def of_error_object(self, body: object, said: Sequence[Message] = ()) -> BackendError:
        """What an error object in the middle of a stream means."""
        words = _words(body)
        code = words.get("code", "")
        status = int(code) if code.isdigit() and 400 <= int(code) < 600 else None
        status = status or _STATUS_OF.get(code) or _STATUS_OF.get(words.get("type", ""), 500)
        return self.of_status(status, body, {}, said)

    def of_transport(self, error: BaseException | None) -> BackendError:
        """What a failure of the connection means; httpx2's errors, of which the text is not quoted."""
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            return BackendTimedOut(f"{self._backend} fell silent")
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return BackendUnavailable(f"{self._backend} cannot be reached")
        return BackendUnavailable(f"{self._backend} dropped the connection")

    def cut(self) -> BackendUnavailable:
        """A stream that ended before its end."""
        return BackendUnavailable(f"{self._backend} ended its answer in the middle")

    def malformed(self, what: str) -> AnswerMalformed:
        """An answer that the protocol does not know."""
        return AnswerMalformed(f"{self._backend} sent {what}")

    def _quoted(self, text: str, said: Sequence[Message]) -> str:
        if not text or any(_quotes(text, message.content) for message in said):
            return ""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        line = " ".join(_SECRETS.sub("…", text).split())
        return f": {line if len(line) <= QUOTE_CHARS else line[:QUOTE_CHARS] + '…'}"


def _kind(status: int, words: str) -> type[BackendError]:
    for statuses, pattern, kind in _MEANT:
        if status in statuses and pattern.search(words):
            return kind
    return _KINDS.get(status, BackendRejected if status < 500 else BackendUnavailable)


def _quotes(text: str, content: str) -> bool:
    start = content.strip()[:TELLING_CHARS]
    return len(start) == TELLING_CHARS and start in text


def _words(body: object) -> dict[str, str]:
    """Message, code and type of an error body, in any of the shapes that are about."""
    if isinstance(body, list) and body:  # Gemini wraps its error object in a list
        return _words(cast("list[object]", body)[0])
    if isinstance(body, str):
        return {"message": body}
    if not isinstance(body, dict):
        return {}
    fields = cast("dict[str, Any]", body)
    inner = fields.get("error", fields.get("detail"))
    if isinstance(inner, dict | list | str) and inner:
        return _words(cast(object, inner))
    return {name: str(fields[name]) for name in ("message", "code", "type") if fields.get(name) is not None}


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long the backend asks to be left alone: Retry-After in seconds or as a date, or OpenAI's in ms."""
    milliseconds, given = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif given is None:
            return None
        elif given.strip().replace(".", "", 1).isdecimal():
            seconds = float(given)
        else:
            seconds = parsedate_to_datetime(given).timestamp() - time.time()
        return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT_S))
    except ValueError:
        return None
