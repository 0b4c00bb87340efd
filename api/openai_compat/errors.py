"""OpenAI's error objects: one exception, and the one translation of whatever fails under these routes."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from activities.errors import AitherError
from api.problems import Problem
from workflows.policy.models import is_pinned

log = logging.getLogger(__name__)

TURN_ID_HEADER = "x-aither-turn-id"
CLIENT_GONE = 499
"""The status of a reply that nobody is there to read; it is seen in access logs alone."""

STATUS_OF_CODE: dict[str, int] = {
    **dict.fromkeys(("backend_rejected", "context_too_long", "window_too_small"), 400),
    **dict.fromkeys(("local_only", "not_allowed", "not_agreed", "price_unknown", "forbidden"), 403),
    **dict.fromkeys(("turn_not_found", "model_not_found"), 404),
    "turn_cancelled": 409,
    **dict.fromkeys(("backend_rate_limited", "over_budget"), 429),
    **dict.fromkeys(("backend_error", "backend_refused_key", "already_refused"), 502),
    **dict.fromkeys(("model_missing", "model_replaced", "answer_empty", "answer_malformed"), 502),
    **dict.fromkeys(("empty", "stuck", "cut", "malformed", "unusable"), 502),
    **dict.fromkeys(("backend_unavailable", "no_rung_left", "no_room", "breaker_open"), 503),
    **dict.fromkeys(("store_unavailable", "workflow_closed"), 503),
    "backend_timed_out": 504,
}
"""HTTP status of a turn's failure. What the request itself caused is a 4xx; what it met is a 5xx."""
CODES = {
    "backend_rate_limited": "rate_limit_exceeded",
    "context_too_long": "context_length_exceeded",
    "window_too_small": "context_length_exceeded",
    "over_budget": "insufficient_quota",
    "unauthenticated": "invalid_api_key",
    "body_too_large": "request_too_large",
    "invalid_request": "invalid_value",
}
"""Codes for which OpenAI has a name of its own, which its clients look for."""
PARAMS = {
    "input": "messages",
    "priority": "aither.priority",
    "agent": "aither.agent",
    "conversation_id": "aither.conversation_id",
    "Authorization": None,
    "body": None,
}
"""Our names of fields, where the parameter here has another."""
NOT_TO_REPEAT = frozenset({409, 504})
"""OpenAI's SDKs repeat these by themselves, and each repetition would be a new turn that is paid for."""


class CompatError(Exception):
    """A failure as OpenAI's clients read it; `param` names the part of the request that is at fault.

    `route` is the turn's, where there was one.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        turn_id: str | None = None,
        route: list[Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.turn_id = turn_id
        self.route = route

    def body(self) -> bytes:
        """The error object as JSON."""
        error = {"message": self.message, "type": _type(self.status), "param": self.param, "code": self.code}
        route = {} if self.route is None else {"aither_route": self.route}
        return orjson.dumps({"error": error, **route})

    def response(self) -> Response:
        """The whole reply, for where none has begun."""
        headers = dict(self.headers)
        if self.turn_id:
            headers[TURN_ID_HEADER] = self.turn_id
        if self.status in NOT_TO_REPEAT or self.code == "insufficient_quota":
            headers["x-should-retry"] = "false"
        return Response(self.body(), self.status, headers, "application/json")

    def of_turn(self, turn_id: str) -> "CompatError":
        """The same failure, naming the turn that it befell."""
        self.turn_id = turn_id
        return self


class CompatRoute(APIRoute):
    """A route whose every failure is an OpenAI error object, whatever the rest of the app answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its failures translated."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except Exception as error:
                return compat_error(error).response()

        return handled


def compat_error(error: Exception) -> CompatError:
    """The failure as an OpenAI error; one that nobody foresaw is logged, and shows nothing of itself."""
    if isinstance(error, CompatError):
        return error
    if isinstance(error, AitherError):
        retry_after = error.retry_after
        return CompatError(
            STATUS_OF_CODE.get(error.code, 500),
            error.message,
            code=CODES.get(error.code, error.code),
            headers={"retry-after": str(max(1, round(retry_after.total_seconds())))} if retry_after else None,
        )
    if isinstance(error, Problem):
        return _of_problem(error)
    if isinstance(error, HTTPException):
        return CompatError(error.status_code, str(error.detail))
    log.error("a request to the OpenAI-compatible endpoint failed", exc_info=error)
    return CompatError(500, "The server had an error while processing your request.", code="internal")


def _of_problem(problem: Problem) -> CompatError:
    """What the rest of the API refuses, in the words of these routes."""
    field = problem.errors[0].field if problem.errors else None
    code = CODES.get(problem.code, problem.code)
    return CompatError(
        400 if problem.status_code == 422 else problem.status_code,
        problem.detail,
        # Whatever else may be wrong with the input has been refused here before.
        code="context_length_exceeded" if problem.status_code == 422 and field == "input" else code,
        param=_param(field) if field else None,
        # Closing while a refused body still comes in would reset the connection before this can be read.
        headers={k: v for k, v in (problem.headers or {}).items() if k.lower() != "connection"},
    )


def turn_error(view: Mapping[str, Any]) -> CompatError:
    """Why a turn that has ended gave no answer."""
    error: Mapping[str, str] = view.get("error") or (
        {"code": "turn_cancelled", "message": "the turn was cancelled before it had an answer"}
        if view["status"] == "cancelled"
        else {"code": "internal", "message": "the turn ended without an answer"}
    )
    code = error["code"]
    status, message = STATUS_OF_CODE.get(code, 500), error["message"]
    if status >= 500 and is_pinned(view["model"]) and view["status"] == "failed":
        # No other model may stand in for it, so it is the gateway's last word, and says whom it asked.
        status, message = (
            502,
            f"The model '{view['model']}' did not answer, and no other was asked: {message}",
        )
    return CompatError(
        status,
        f"{message} (turn {view['id']})",
        code=CODES.get(code, code),
        param="messages" if CODES.get(code) == "context_length_exceeded" else None,
        turn_id=view["id"],
        route=view.get("route") or [],
    )


def _param(field: str) -> str | None:
    """Our name of a field as the parameter that it was here."""
    return f"aither.{field}" if field.startswith("policy.") else PARAMS.get(field, field)


def _type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"
