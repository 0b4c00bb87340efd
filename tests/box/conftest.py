import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import httpx2
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from activities.contracts.backends import Backend
from activities.contracts.boxes import BoxPhase, BoxPlan, BoxView, ModelNeed, Pace
from activities.contracts.models import ModelAddress, ModelFile, PublicPlace
from api.app import create_app
from api.state import State
from infra.box.pushing import ONSTART, BoxCall, environment
from infra.ids import new_id
from infra.postgres.boxes import PostgresBoxes
from infra.settings import Settings
from tests.api.configured import LOCAL
from tests.api.conftest import Api, real_stores, serving
from tests.api.playing import PlayedRuns
from tests.api.stores import HOST, Stores, free_port
from tests.support.standin_mirror import Mirror, mirror

__all__ = ["real_stores"]

MASTER = "a master key of thirty-two letters"
POOL = "llm-orchestrator"
PATIENCE_S = 60.0
BOX_SERVER = Path(__file__).parents[1] / "support/box_server.py"
QUICK = Pace(
    heartbeat=timedelta(seconds=0.2),
    silence=timedelta(seconds=30),
    start=timedelta(seconds=30),
    connections=4,
    part_bytes=50_000,
)
ACCESS, SECRET, BUCKET = "minio", "minio-secret", "models"


@dataclass(frozen=True)
class Bucket:
    """A real S3 server (moto) with one bucket."""

    url: str
    client: Any

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required"),
    )
    client.create_bucket(Bucket=BUCKET)
    try:
        yield Bucket(url, client)
    finally:
        client.close()
        server.stop()


@pytest.fixture(scope="session")
def publisher() -> Iterator[Mirror]:
    with mirror() as running:
        yield running


@pytest.fixture(scope="session")
async def house(
    real_stores: Stores, bucket: Bucket, publisher: Mirror, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """A running API that rented boxes may join, with all three tiers of models."""
    port, folder = free_port(), tmp_path_factory.mktemp("box")
    settings = Settings.model_validate(
        {
            "api_port": port,
            "data_dir": folder,
            "database_url": real_stores.app,
            "redis_url": real_stores.redis.url,
            "burst_master_key": MASTER,
            "box_reachable_hosts": [HOST],
            "models_s3_endpoint": bucket.url,
            "models_s3_access_key": ACCESS,
            "models_s3_secret_key": SECRET,
            "hf_endpoint": publisher.url,
            "civitai_endpoint": publisher.url,
        }
    )
    app = create_app(settings, runs=PlayedRuns())
    async with serving(app, port) as server:
        state: State = app.state.aither
        _, key = await state.keys.create("acme", "first")
        yield Api(f"http://{HOST}:{port}", app, PlayedRuns(), real_stores, key, server)


@dataclass
class Lease:
    """A lease that waits for its box."""

    api: Api
    id: str
    instance: str
    plan: BoxPlan
    attempt: int = 1

    @property
    def boxes(self) -> PostgresBoxes:
        return PostgresBoxes(self.api.state.database)

    async def sql(self, statement: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.api.stores.admin)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def move(self, state: str) -> None:
        await self.sql("update aither.leases set state = $2 where id = $1", self.id, state)

    async def state(self) -> str:
        return await self.sql("select state from aither.leases where id = $1", self.id)

    async def refusals(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in await self.boxes.refusals(self.id):
            found[each.reason] = found.get(each.reason, 0) + each.times
        return found

    async def view(self) -> BoxView:
        view = await self.boxes.view(self.id, self.attempt)
        assert view is not None
        return view

    async def until(self, wanted: Callable[[BoxView], bool]) -> BoxView:
        view = await self.view()
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(view):
                await asyncio.sleep(0.05)
                view = await self.view()
        return view

    async def reaches(self, phase: BoxPhase) -> BoxView:
        return await self.until(lambda view: view.phase in {phase, BoxPhase.FAILED})


async def waiting_lease(api: Api, plan: BoxPlan) -> Lease:
    lease = Lease(api, new_id("lease"), f"C{os.urandom(4).hex()}", plan)
    await lease.sql(
        "insert into aither.leases (id, purpose, pool, state, asked_by, plan, label, instance_id, attempt)"
        " values ($1, 'reasoning', $2, 'booting', 'test', '{}', $1, $3, 1)",
        lease.id,
        POOL,
        lease.instance,
    )
    await lease.boxes.prepare(lease.id, lease.attempt, plan)
    return lease


def plan_of(*models: str, port: int | None = None, command: tuple[str, ...] | None = None) -> BoxPlan:
    """A box that serves the first of these models with nothing in it."""
    port = port or free_port()
    folder_and_name = models[0].split("/", 4)[-1] if models else ""
    return BoxPlan(
        command=command or (sys.executable, str(BOX_SERVER), "{port}", "{models}/" + folder_and_name),
        backend=Backend(
            name="burst",
            pool=POOL,
            base_url=f"http://{HOST}:{port}/v1",
            model=LOCAL,
            slots=4,
            window_tokens=4096,
        ),
        port=port,
        models=tuple(ModelNeed(uri=uri) for uri in models),
        pace=QUICK,
    )


@pytest.fixture
async def lease(house: Api) -> Lease:
    """One that waits for a box that wants no models."""
    return await waiting_lease(house, plan_of())


@dataclass
class Box:
    """A rented box: a process on this machine that runs what was pushed, with a folder of its own."""

    lease: Lease
    folder: Path
    call: BoxCall
    python: str = sys.executable
    env: dict[str, str] = field(default_factory=dict[str, str])
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        told = environment(MASTER.encode(), self.lease.id, self.lease.attempt, self.call)
        own = {
            "PATH": os.environ["PATH"],
            "CONTAINER_ID": self.lease.instance,
            "AITHER_FOLDER": str(self.folder),
            "AITHER_PYTHON": self.python,
        }
        self.process = await asyncio.create_subprocess_exec(
            "bash", "-c", ONSTART, env=own | told | self.env, start_new_session=True
        )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ended(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    async def post(self, path: str, told: Any = None) -> None:
        async with httpx2.AsyncClient() as client:
            await client.post(f"http://{HOST}:{self.lease.plan.port}{path}", json=told or {})


Boxes = Callable[..., Awaitable[Box]]


@pytest.fixture
async def boxes(house: Api, tmp_path: Path) -> AsyncIterator[Boxes]:
    """Starts boxes of leases; those that are left are killed, and what they say is shown where a test fails."""
    async with renting(house, tmp_path) as rent:
        yield rent


@asynccontextmanager
async def renting(house: Api, folder: Path) -> AsyncGenerator[Boxes]:
    made: list[Box] = []

    async def rent(lease: Lease, **changed: Any) -> Box:
        call = BoxCall(url=house.url, page_port=None, silence_s=30.0, folder=str(folder))
        env, python = changed.pop("env", {}), changed.pop("python", sys.executable)
        box = Box(lease, folder / lease.id, replace(call, **changed), python, env)
        made.append(box)
        await box.start()
        return box

    try:
        yield rent
    finally:
        for box in made:
            await box.kill()
            print(box.log)


async def known(house: Api, name: str, content: bytes, *, folder: str = "tiny", **places: Any) -> str:
    """Makes a shared file known; its address."""
    address = ModelAddress(scope="shared", dir=folder, name=name)
    file = ModelFile(
        address=address,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        object_key=places.get("object_key"),
        public=places.get("public"),
    )
    await house.state.models.rows.put(file, added_by="test")
    return address.uri


def at_hugging_face(path: str) -> PublicPlace:
    from activities.contracts.models import Hub

    return PublicPlace(hub=Hub.HUGGING_FACE, repo="acme/tiny", revision="main", path=path)
