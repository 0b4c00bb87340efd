"""An installation that tells of itself: the API and a worker as processes, with stand-ins below and a collector."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
from temporalio.client import Client

from infra.postgres.database import Database
from infra.postgres.keys import PostgresKeys, Role
from tests.api.stores import HOST, Stores, free_port, stores
from tests.support.collector import Collector
from tests.support.standin import StandIn

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

PROMPT = "canary-prompt-marmalade-7431"
"""Stands in every prompt, and must stand nowhere else."""
CLOUD_KEY = "sk-canary-cloud-9f8e7d6c5b4a"
BOT = "987654321:AAcanaryBotTokenABCDEFGHIJKLMNOPQR"
CANARIES = ("marmalade", CLOUD_KEY, BOT)

NOTHING_MORE: Mapping[str, str] = {}

CONFIGURATION = """
[backends.front]
dialect = "vllm"
base_url = "{front}"
model = "front-model"
capabilities = ["tools", "json_schema"]
slots = 4

[backends.deep]
base_url = "{deep}"
model = "deep-model"
locality = "cloud"
api_key_env = "CANARY_CLOUD_KEY"
price = {{ input_usd = 2.0, output_usd = 10.0, read_on = 2026-11-01 }}

[ladders.auto]
answer = ["front"]
reason = ["deep"]

[cards."desk/0"]
vram_mib = 24000
"""


@dataclass
class Process:
    """One of the installation's processes. `log` is what it has written."""

    name: str
    process: asyncio.subprocess.Process
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log, of which every line must be a JSON object."""
        return [orjson.loads(line) for line in self.log.splitlines()]

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@dataclass
class Installed:
    """The installation, and a key of a tenant in it. `keys` stand in requests, and nowhere else."""

    front: StandIn
    deep: StandIn
    collector: Collector
    stores: Stores
    temporal: Client
    api: Process
    worker: Process
    url: str
    metrics_url: str
    key: str
    operator: str

    @property
    def canaries(self) -> tuple[str, ...]:
        return (*CANARIES, self.key, self.operator)

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE_S)

    async def ask(self, effort: int = 3, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """A turn, to its end."""
        async with self.client() as client:
            reply = await client.post(
                "/v1/turns",
                json={"input": f"{PROMPT} what is it?", "effort": effort},
                headers={"Prefer": "wait=30", **(headers or {})},
            )
        assert reply.status_code == 200, reply.text
        return reply.json()


@asynccontextmanager
async def installation(
    temporal: Client, folder: Path, more: Mapping[str, str] = NOTHING_MORE
) -> AsyncGenerator[Installed]:
    """The processes, up and ready, with `more` in their environment; an empty value takes a variable away."""
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(Collector())
        front = await stack.enter_async_context(StandIn(models=("front-model",)))
        deep = await stack.enter_async_context(StandIn(models=("deep-model",)))
        servers = await stack.enter_async_context(stores())
        async with Database.connect(servers.app, 1) as database:
            keys = PostgresKeys(database)
            _, key = await keys.create("acme", "test")
            _, operator = await keys.create("acme", "operator", role=Role.OPERATOR)
        (folder / "aither.toml").write_text(CONFIGURATION.format(front=front.url, deep=deep.url))
        port, metrics_port = free_port(), free_port()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AITHER_")
        } | {
            "AITHER_DATA_DIR": str(folder),
            "AITHER_CONFIG_FILE": str(folder / "aither.toml"),
            "AITHER_HOST_NAME": "elsewhere",
            "AITHER_API_PORT": str(port),
            "AITHER_TEMPORAL_ADDRESS": temporal.service_client.config.target_host,
            "AITHER_TEMPORAL_NAMESPACE": temporal.namespace,
            "AITHER_DATABASE_URL": servers.app,
            "AITHER_REDIS_URL": servers.redis.url,
            "AITHER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "AITHER_LOG_FORMAT": "json",
            "AITHER_LOG_LEVEL": "debug",
            "AITHER_METRICS_PORT": str(metrics_port),
            "AITHER_TELEGRAM_TOKEN": BOT,
            "AITHER_TELEGRAM_API_URL": f"http://{HOST}:1",
            "AITHER_READY_FILE": str(folder / "ready"),
            "CANARY_CLOUD_KEY": CLOUD_KEY,
            **more,
        }
        environment = {name: value for name, value in environment.items() if value}
        api = await _started(stack, "api", ("api.server",), environment, folder)
        worker_of = ("workers.main", "--fleet", "turns", "--fleet", "pools")
        worker = await _started(stack, "worker", worker_of, environment, folder)
        found = Installed(
            front=front,
            deep=deep,
            collector=collector,
            stores=servers,
            temporal=temporal,
            api=api,
            worker=worker,
            url=f"http://{HOST}:{port}",
            metrics_url=f"http://{HOST}:{metrics_port}/metrics",
            key=key,
            operator=operator,
        )
        await _ready(found, folder / "ready")
        yield found


async def _started(
    stack: AsyncExitStack, name: str, module: Sequence[str], environment: dict[str, str], folder: Path
) -> Process:
    file = folder / f"{name}.log"
    with file.open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *module, env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    started = Process(name, process, file)
    stack.push_async_callback(started.kill)
    return started


async def _ready(found: Installed, file: Path) -> None:
    async with asyncio.timeout(PATIENCE_S), found.client() as client:
        while True:
            for each in (found.api, found.worker):
                assert each.process.returncode is None, each.log
            try:
                if (await client.get("/health")).status_code == 200 and file.exists():
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
