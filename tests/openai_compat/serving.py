"""An app that serves the compat routes on a loopback port, with played turns and played embeddings."""

import asyncio
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from activities.contracts.backends import Backend, Ladder
from api import problems
from api.limits import Limits
from api.openai_compat import router
from infra.postgres.keys import Caller
from infra.settings import Settings
from infra.topology import embedded_topology
from tests.openai_compat.playing import CALLER, KEY, PlayedTurns


class _Keys:
    async def authenticate(self, secret: str) -> Caller | None:
        return CALLER if secret == KEY else None


@dataclass
class Served:
    """A running app: its base URL for SDKs, a client for raw requests, and the state that tests script."""

    url: str
    http: httpx2.Client
    state: SimpleNamespace

    @property
    def turns(self) -> PlayedTurns:
        return self.state.turns

    def post(self, body: Any, path: str = "/v1/chat/completions", **headers: str) -> httpx2.Response:
        """A raw request with a good key."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **headers}
        return self.http.post(path, content=content, headers=sent)


@contextmanager
def served() -> Generator[Served]:
    """Serves the compat routes, and embeddings beside them, from a thread with a loop of its own."""
    listeners = [_listener(), _listener()]
    settings = Settings(embeddings_port=listeners[1].getsockname()[1], max_body_bytes=1_000_000)
    topology = embedded_topology(settings)
    cloud = Backend(name="cloud", base_url="http://cloud.invalid", model="vendor/large")
    ladder = Ladder(name="careful", answer=topology.ladders[0].answer)
    state = SimpleNamespace(
        settings=settings,
        topology=replace(topology, backends=(*topology.backends, cloud), ladders=(*topology.ladders, ladder)),
        keys=_Keys(),
        turns=PlayedTurns(),
        closing=asyncio.Event(),
    )
    app = FastAPI()
    app.state.aither = state
    app.include_router(router)
    problems.install(app)
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes)  # pyright: ignore[reportArgumentType]
    thread, servers = _serve(zip((app, _embeddings()), listeners, strict=True))
    url = f"http://127.0.0.1:{listeners[0].getsockname()[1]}"
    try:
        with httpx2.Client(base_url=url) as http:
            yield Served(url=url, http=http, state=state)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def _serve(apps: Any) -> tuple[threading.Thread, list[uvicorn.Server]]:
    started = threading.Event()
    servers: list[uvicorn.Server] = []

    async def run() -> None:
        tasks: list[asyncio.Task[None]] = []
        for app, listener in apps:
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            servers.append(server)
            tasks.append(asyncio.create_task(server.serve(sockets=[listener])))
        started.set()
        await asyncio.gather(*tasks)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    # The sockets listen already, so a request that comes before the servers accept just waits.
    assert started.wait(10)
    return thread, servers


def _embeddings() -> FastAPI:
    """An embeddings server whose vectors say which text they are of; the text itself can ask for faults."""
    app = FastAPI()

    @app.post("/v1/embeddings")
    async def embed(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        body = orjson.loads(await request.body())
        first = body["input"][0]
        if first.startswith("status "):
            error = {"error": {"message": "no more of this"}}
            return Response(orjson.dumps(error), int(first.removeprefix("status ")))
        if first == "nonsense":
            return Response(b"<html>")
        data = [
            {"index": i, "embedding": [float(len(text)), 0.5, -1.25]} for i, text in enumerate(body["input"])
        ]
        return Response(orjson.dumps({"data": data[::-1], "usage": {"prompt_tokens": 5}}))

    return app


def _listener() -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener
