"""Every failure as problem+json (RFC 9457): what went wrong, in which field, and what to do next."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from activities.errors import AitherError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:aither:problem:"

CATALOGUE: dict[str, tuple[int, str]] = {
    "bad_json": (400, "The body is not valid JSON"),
    "unauthenticated": (401, "A valid API key is needed"),
    "bad_signature": (401, "The message is not signed as it should be"),
    "not_a_decider": (403, "Somebody else is to decide this"),
    "forbidden": (403, "The API key may not do that"),
    "lease_not_found": (404, "There is no such lease"),
    "burst_off": (409, "Burst is switched off, or not configured for that"),
    "box_refused": (403, "No box of that kind is waited for"),
    "not_found": (404, "There is nothing at this address"),
    "turn_not_found": (404, "There is no such turn"),
    "conversation_not_found": (404, "There is no such conversation"),
    "model_not_found": (404, "There is no such model"),
    "agent_not_found": (404, "There is no such agent"),
    "pool_not_found": (404, "There is no such pool"),
    "job_not_found": (404, "There is no such job"),
    "card_not_found": (404, "There is no such GPU card"),
    "call_not_found": (404, "Nothing of that id waits"),
    "service_not_found": (404, "There is no such service"),
    "approval_not_found": (404, "There is no such approval"),
    "grant_not_found": (404, "There is no such grant"),
    "webhook_not_found": (404, "There is no such webhook"),
    "person_not_found": (404, "There is no such person"),
    "method_not_allowed": (405, "This address does not take that method"),
    "idempotency_conflict": (409, "The idempotency key belongs to another request"),
    "job_ended": (409, "The job has ended"),
    "approval_closed": (409, "The approval is decided already"),
    "too_many_webhooks": (409, "There are as many webhooks as there may be"),
    "not_waiting": (409, "It does not wait any more"),
    "card_refused": (409, "The GPU card refuses"),
    "burst_not_configured": (409, "No box is rented for that"),
    "body_too_large": (413, "The body is too large"),
    "body_too_deep": (413, "The body is nested too deeply"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "invalid_request": (422, "The request is not valid"),
    "internal": (500, "Something broke on our side"),
    "market_refused": (502, "The market that boxes are rented on refuses"),
    "store_unavailable": (503, "The database cannot be reached"),
    "identity_unavailable": (503, "The identity provider cannot be reached"),
    "scheduler_unavailable": (503, "Temporal cannot be reached"),
    "card_unavailable": (503, "The GPU card does not answer"),
    "memory_unavailable": (503, "Memory cannot be reached"),
    "market_unavailable": (503, "The market that boxes are rented on cannot be reached"),
    "embedder_mismatch": (503, "Memory was made with another embedder"),
}
"""Every problem that the API may answer with: its status and title, by its code."""

_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 400: "bad_json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field. `field` is a path such as `input[0].content`, or a header's name."""

    field: str
    message: str


class Problem(HTTPException):
    """A failure that a client is told about. `detail` says what to do next, and holds no secret."""

    def __init__(
        self,
        code: str,
        detail: str,
        *errors: FieldError,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        status, self.title = CATALOGUE[code]
        super().__init__(status, detail, headers)
        self.code = code
        self.errors = errors
        self.more: Mapping[str, Any] = {}
        """Members of the problem beside those that all have."""

    def response(self, instance: str) -> Response:
        """The reply to the request for `instance`."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status_code,
            "detail": _sayable(self.detail),
            "instance": _sayable(instance),
        }
        if self.errors:
            body["errors"] = [
                {"field": _sayable(error.field), "message": _sayable(error.message)} for error in self.errors
            ]
        body.update(self.more)
        return Response(orjson.dumps(body), self.status_code, self.headers, MEDIA_TYPE)


def invalid(field: str, message: str) -> Problem:
    """A 422 about one field."""
    return Problem("invalid_request", f"{field}: {message}", FieldError(field=field, message=message))


def invalid_fields(found: Sequence[Mapping[str, Any]]) -> Problem:
    """A 422 about everything that pydantic found, each under the path of its field."""
    errors = [FieldError(field=field_path(error["loc"]), message=str(error["msg"])) for error in found]
    detail = "; ".join(f"{error.field}: {error.message}" for error in errors[:3])
    return Problem("invalid_request", detail, *errors[:20])


def field_path(loc: Sequence[str | int]) -> str:
    """`("body", "input", 0, "content")` as `input[0].content`; tags of unions (`<…>`) are left out."""
    path = ""
    if loc and loc[-1] == "[key]":
        # A mapping's key is at fault: the mapping is named, for the key may be anything.
        loc = loc[:-2]
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            path += f".{part}" if path else part
    for place in ("body", "query", "path", "header", "cookie"):
        if path.startswith(f"{place}."):
            return path[len(place) + 1 :]
    return path or "body"


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem; those that nobody foresaw are left to `Limits`."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(AitherError, _aither)


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return error.response(request.url.path)
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "invalid_request")
    path, method = request.url.path, request.method
    details = {
        404: f"nothing is served at {path}; GET /docs lists what is",
        405: f"{method} is not served at {path}; the header Allow says what is",
    }
    problem = Problem(code, details.get(error.status_code, str(error.detail)), headers=error.headers)
    problem.status_code = error.status_code
    return problem.response(path)


async def _validation(request: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error).errors()
    return invalid_fields(found).response(request.url.path)


async def _aither(request: Request, error: Exception) -> Response:
    assert isinstance(error, AitherError)
    if error.code not in CATALOGUE:
        return unforeseen(request.method, request.url.path, error)
    retry_after = {"Retry-After": "2"} if error.retryable else None
    return Problem(error.code, error.message, headers=retry_after).response(request.url.path)


def unforeseen(method: str, path: str, error: Exception) -> Response:
    """The reply to a request that failed in a way that nobody foresaw: logged, and shown to nobody."""
    log.error("%s %s failed", method, path, exc_info=error)
    detail = "the request could not be served; try again, and if it repeats, look into the API's log"
    return Problem("internal", detail).response(path)


def _sayable(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()
