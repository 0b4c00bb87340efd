import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.state import State
from infra.postgres.keys import Role
from infra.postgres.turns import PostgresTurns
from infra.settings import Settings
from tests.api.playing import PlayedJobRuns, PlayedRuns, answers
from tests.api.stores import HOST, Stores, free_port, stores


class QuietServer(uvicorn.Server):
    """Leaves the test process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass(frozen=True)
class Api:
    """A running API: its address, its parts, the worker that is played, and a key of the tenant `acme`."""

    url: str
    app: FastAPI
    runs: PlayedRuns
    stores: Stores
    key: str
    server: QuietServer

    @property
    def state(self) -> State:
        return self.app.state.aither

    async def new_key(self, tenant: str, *, ceiling: int = 1, role: Role = Role.USER) -> str:
        _, secret = await self.state.keys.create(tenant, "test", priority_ceiling=ceiling, role=role)
        return secret

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key or self.key}"}, timeout=20
        )


@contextlib.asynccontextmanager
async def serving(app: FastAPI, port: int) -> AsyncGenerator[QuietServer]:
    """The app behind a real server on a loopback port."""
    server = QuietServer(
        uvicorn.Config(
            app,
            host=HOST,
            port=port,
            loop="asyncio",
            http="httptools",
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=5,
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
async def real_stores() -> AsyncIterator[Stores]:
    async with stores() as running:
        yield running


@pytest.fixture(scope="session")
async def running_api(real_stores: Stores) -> AsyncIterator[Api]:
    port = free_port()
    settings = Settings.model_validate(
        {
            "api_port": port,
            "database_url": real_stores.app,
            "redis_url": real_stores.redis.url,
            "max_body_bytes": 256 * 1024,
            "max_wait_seconds": 20,
        }
    )
    runs = PlayedRuns()
    app = create_app(settings, runs=runs, job_runs=PlayedJobRuns())
    async with serving(app, port) as server:
        state: State = app.state.aither
        runs.rows, runs.events, runs.topology = PostgresTurns(state.database), state.events, state.topology
        _, key = await state.keys.create("acme", "first")
        yield Api(f"http://{HOST}:{port}", app, runs, real_stores, key, server)


@pytest.fixture
async def api(running_api: Api) -> AsyncIterator[Api]:
    """The running API with a worker that answers."""
    runs = running_api.runs
    runs.play, runs.up, runs.stops_on_cancel = answers, True, True
    runs.started.clear()
    runs.cancelled.clear()
    yield running_api
    await runs.idle()
    while running_api.server.server_state.tasks:
        # The last byte of a reply has been sent, and its task is about to end.
        await asyncio.sleep(0.001)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as client:
        yield client


async def ask(client: httpx2.AsyncClient, body: Any = None, *, wait: int | None = 10, **headers: str) -> Any:
    """The turn that comes of asking, ended where it was waited for."""
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await client.post("/v1/turns", json=body or {"input": "Why is the sky blue?"}, headers=named)
    assert reply.status_code in {200, 202}, reply.text
    return reply.json()
