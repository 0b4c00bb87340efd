"""Answers a heartbeat that repeats the one before it ahead of the framework, which would cost several times as much.

A thousand services send 33 of them a second. All that is not plainly such a heartbeat goes on to the app, which
refuses or takes it as if this were not here.
"""

from typing import cast

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.contracts.registry import HEARTBEAT_EVERY, Beat, ServiceStatus
from activities.errors import AitherError
from api.auth import MAX_KEY_CHARS
from api.state import State
from infra.postgres.keys import Role

PATH = "/v1/registry/heartbeat"
MOST_BYTES = 32 * 1024
_MAY = frozenset({Role.SERVICE, Role.OPERATOR})
_BEARER = b"Bearer "


def _reply(status: ServiceStatus) -> bytes:
    return orjson.dumps({"status": status, "next_heartbeat_s": round(HEARTBEAT_EVERY.total_seconds())})


_REPLIES = {False: _reply(ServiceStatus.ONLINE), True: _reply(ServiceStatus.DRAINING)}


def reply_to(beat: Beat) -> bytes:
    """What a heartbeat is answered, as JSON."""
    return _REPLIES[beat.draining]


class Repeating:
    """Middleware for heartbeats; it stands inside of `Limits`, and does nothing to any other request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        state: State = scope["app"].state.aither
        size, secret = _plain(scope)
        if not 0 < size <= MOST_BYTES or not await _may_beat(state, secret):
            await self._app(scope, receive, send)
            return
        taken = [await receive()]
        while taken[-1].get("more_body"):
            taken.append(await receive())
        beat = state.heartbeats.again(b"".join(cast("bytes", each.get("body", b"")) for each in taken))
        if beat is None:
            await self._app(scope, _replaying(taken, receive), send)
            return
        body = reply_to(beat)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _plain(scope: Scope) -> tuple[int, str]:
    """Announced size and key of a request with a JSON body; 0 where there is anything unusual about it."""
    size, secret, is_json = 0, "", False
    for name, value in scope["headers"]:
        match name:
            case b"content-length" if value.isdigit():
                size = int(value)
            case b"content-type":
                is_json = value == b"application/json"
            case b"authorization" if value.startswith(_BEARER):
                secret = value[len(_BEARER) :].decode("latin-1")
            case b"transfer-encoding":
                return 0, ""
            case _:
                pass
    return (size, secret) if is_json and secret and len(secret) <= MAX_KEY_CHARS else (0, "")


async def _may_beat(state: State, secret: str) -> bool:
    try:
        caller = await state.keys.authenticate(secret)
    except AitherError:
        return False
    return caller is not None and caller.role in _MAY


def _replaying(taken: list[Message], receive: Receive) -> Receive:
    """`receive`, beginning again with what was taken from it."""
    left = iter(taken)

    async def replayed() -> Message:
        return next(left, None) or await receive()

    return replayed
