"""What a request may be at most, and what every reply says to browsers; both held outside of the routes."""

from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import FieldError, Problem, unforeseen

SAFETY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")


class Limits:
    """Bounds a body while it is read, so that nothing larger is ever held or parsed; adds safety headers."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = message["headers"] = [*message["headers"], *SAFETY_HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(NO_STORE)
            await send(message)

        try:
            await self._app(scope, self._bounded(scope, receive), guarded)
        except Exception as error:
            # Answered here rather than by the framework, whose reply would lack these headers.
            if begun:
                raise
            await unforeseen(scope["method"], scope["path"], error)(scope, receive, guarded)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, raising a 413 as soon as more is announced or has come than is allowed."""
        announced = _announced(scope)
        if announced == 0:
            return receive
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            if announced is not None and announced > self._max:
                raise self._too_large()
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max:
                raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> Problem:
        detail = f"the body may hold {self._max} bytes at most; send less, or split it into several turns"
        error = FieldError(field="body", message=f"more than {self._max} bytes")
        return Problem("body_too_large", detail, error, headers={"Connection": "close"})


def _announced(scope: Scope) -> int | None:
    """The body's announced size in bytes, None where it comes in chunks, 0 where there is none."""
    chunked = False
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        chunked = chunked or name == b"transfer-encoding"
    return None if chunked else 0
