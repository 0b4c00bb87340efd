"""Temporal's remote codec over HTTP: has its UI and its CLI show what we encrypted to those who may see it.

`POST /decode` and `/encode` take and give `{"payloads": [...]}` as protobuf's JSON. Without a token it must listen on
loopback, and then takes requests only that name it so, and no page of another origin than the UI's.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

from aiohttp import web
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from infra.temporal.converter import PayloadSealed

MOST_BYTES = 16 * 1024 * 1024
"""Of a request: a page of a history is 4 MB at most, and base64 makes a third more of that."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = "Authorization, Content-Type, X-Namespace"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Coder = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


def codec_app(codec: PayloadCodec, *, origins: Sequence[str], token: str | None) -> web.Application:
    """The server's app. With a token, only those who show it are served."""

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if token is None and urlsplit(f"//{request.host}").hostname not in LOOPBACK:
            # A page may have its own name resolve to this machine.
            return _said(403, "without a token, only this machine itself is served")
        if origin is not None and origin not in origins:
            return _said(403, "pages of this origin are not served; `--origin` says which are")
        if request.method == "OPTIONS":
            reply: web.StreamResponse = web.Response(status=204)
        elif token is not None and not _shown(request, token):
            reply = _said(401, "show the token of AITHER_CODEC_TOKEN: `Authorization: Bearer …`")
        else:
            try:
                reply = await handler(request)
            except web.HTTPException as error:
                reply = _said(error.status, error.reason.lower())
        if origin is not None:
            reply.headers["Access-Control-Allow-Origin"] = origin
            reply.headers["Access-Control-Allow-Methods"] = "POST, OPTIONS"
            reply.headers["Access-Control-Allow-Headers"] = HEADERS
            reply.headers["Access-Control-Allow-Credentials"] = "true"
            reply.headers["Access-Control-Max-Age"] = "600"
            reply.headers["Vary"] = "Origin"
        return reply

    app = web.Application(middlewares=[guard], client_max_size=MOST_BYTES)
    app.router.add_post("/encode", _coding(codec.encode))
    app.router.add_post("/decode", _coding(codec.decode))
    return app


async def serve(app: web.Application, host: str, port: int, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises `OSError` where the port is taken."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _coding(coder: _Coder) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            said = await request.json()
            asked = ParseDict(cast(dict[str, object], said), Payloads()) if isinstance(said, dict) else None
        except (ParseError, ValueError):
            asked = None
        if asked is None:
            return _said(400, 'the body has to be {"payloads": [...]}, as protobuf writes it in JSON')
        try:
            coded = await coder(asked.payloads)
        except PayloadSealed as error:
            return _said(400, str(error))
        return web.json_response(MessageToDict(Payloads(payloads=coded)))

    return handle


def _shown(request: web.Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())


def _said(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
