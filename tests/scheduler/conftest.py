"""An API over a real Temporal whose pools nobody serves: what is asked of it waits until a test says otherwise."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from api.app import create_app
from api.state import State
from infra.postgres.keys import Role
from infra.redis_pools import RedisPools
from infra.settings import Settings
from tests.api.conftest import QuietServer, serving
from tests.api.stores import HOST, free_port
from tests.support.house import Ground

_BACKEND = """
[backends.{name}]
base_url = "http://{name}.invalid:9/v1"
model = "{name}-model"
locality = "local"
window_tokens = 100_000
slots = 4
"""
ALONE = ("counted", "ranked", "scraped", "idle")
"""Each for one test, or none: what was cancelled is counted in a queue until somebody polls it."""
CONFIGURATION = (
    "".join(_BACKEND.format(name=name) for name in ("front", "back", *ALONE))
    + """
[ladders.auto]
answer = ["front"]
reason = ["back"]

[cards."box/0"]
vram_mib = 24_000
reserve_mib = 500

[residents.swap]
card = "box/0"
kind = "comfyui"
mib = 18_000
base_url = "http://swap.invalid:9"
"""
)
FRONT, BACK = "llm-front", "llm-back"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Desk:
    """The API, and keys to it. The words of workers are spoken over `pools`."""

    url: str
    state: State
    ground: Ground
    pools: RedisPools
    operator: str
    server: QuietServer

    async def key(self, tenant: str, *, role: Role = Role.USER, ceiling: int = 1) -> str:
        _, secret = await self.state.keys.create(tenant, "test", role=role, priority_ceiling=ceiling)
        return secret

    def client(self, key: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S
        )

    async def forget(self) -> None:
        """Lets the next look be a new one, whatever the last one's age."""
        self.state.scheduling._seen = None
        self.state.waiting._kept.clear()
        self.state.cards._seen_at = float("-inf")


def settings_for(ground: Ground, folder: Path, port: int, **other: object) -> Settings:
    file = folder / "aither.toml"
    file.write_text(CONFIGURATION)
    return Settings.model_validate(
        {
            "api_port": port,
            "config_file": file,
            "database_url": ground.stores.app,
            "redis_url": ground.stores.redis.url,
            "temporal_address": ground.client.service_client.config.target_host,
            "max_wait_seconds": 20,
            **other,
        }
    )


@pytest.fixture(scope="session")
async def ground() -> AsyncIterator[Ground]:
    async with Ground.laid() as ground:
        yield ground


@pytest.fixture(scope="session")
async def opened_desk(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    port = free_port()
    app = create_app(settings_for(ground, tmp_path_factory.mktemp("desk"), port))
    async with RedisPools.connect(ground.stores.redis.url) as pools, serving(app, port) as server:
        state: State = app.state.aither
        _, operator = await state.keys.create("house", "operator", role=Role.OPERATOR)
        yield Desk(f"http://{HOST}:{port}", state, ground, pools, operator, server)


@pytest.fixture
async def desk(opened_desk: Desk) -> AsyncIterator[Desk]:
    await opened_desk.forget()
    yield opened_desk
    for process in await opened_desk.pools.heard():
        await opened_desk.pools.say(process, ())
    await opened_desk.forget()
    while opened_desk.server.server_state.tasks:
        # The last byte of a reply has been sent, and its task is about to end.
        await asyncio.sleep(0.001)


@pytest.fixture
async def operator(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    async with desk.client(desk.operator) as client:
        yield client


@pytest.fixture(autouse=True)
async def _no_task_left_behind(ground: Ground) -> AsyncIterator[None]:
    """As for all tests, but the session's worker goes on polling: tasks of the SDK's are its own business."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()]
    ours = [t for t in left if "temporalio" not in repr(t)]
    if ours:
        _, pending = await asyncio.wait(ours, timeout=2)
        assert not pending, f"tasks left running: {pending}"
