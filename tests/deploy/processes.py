"""The services of docker-compose.yml as processes of this machine: their exact commands, in their environments.

Of the environment, addresses and credentials alone are another's: most of them by the variables that the compose file
itself takes from `.env`, and what is a path or an interface of a container here.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.service import RPCError

from tests.api.stores import HOST, RedisServer, free_port
from tests.deploy.files import MAIN, services
from tests.support.house import Ground

START_S = 90.0
POLL_S = 0.03
NO_ANSWER = (httpx2.TransportError,)
LEFT_OUT = {"AITHER_QDRANT_URL", "AITHER_QDRANT_API_KEY", "AITHER_MODELS_S3_ENDPOINT"}
"""Servers that there are none of here: memory and models are then the data directory's."""
UNITS = {"s": 1.0, "m": 60.0}


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """As Docker Compose fills in a value; a variable that has to be set, and is not, is a KeyError."""

    def value(found: re.Match[str]) -> str:
        name, kind, otherwise = found[1], found[2], found[3] or ""
        if variables.get(name):
            return variables[name]
        if kind == "?":
            raise KeyError(f"{name}: {otherwise}")
        return otherwise

    while (new := re.sub(r"\$\{([A-Z][A-Z0-9_]*)(?::([-?])([^${}]*))?\}", value, text)) != text:
        text = new
    return text


def told(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of the service's container. A name without a value is passed on if it is set."""
    found: dict[str, str] = {}
    for name, value in (service.get("environment") or {}).items():
        if value is not None:
            found[name] = filled_in(str(value), variables)
        elif name in variables:
            found[name] = variables[name]
    return found


def grace_s(service: Mapping[str, Any]) -> float:
    """How long its container may take to stop, before it is killed."""
    words = str(service.get("stop_grace_period", "10s"))
    return float(words[:-1]) * UNITS[words[-1]]


@dataclass
class Running:
    """A service that runs."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    ready: Path
    variables: Mapping[str, str]

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Installation:
    """Processes of one installation. What a test has stopped it starts again, by the same command."""

    folder: Path
    variables: dict[str, str]
    api_port: int
    admin: str
    running: dict[str, Running] = field(default_factory=dict[str, Running])
    metrics_ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in services(MAIN)}
    )
    _starts: int = 0

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    def environment(self, name: str, **variables: str) -> dict[str, str]:
        """What the service's process is told."""
        given = told(services(MAIN)[name], self.variables | variables)
        own = {
            "AITHER_HOST": HOST,
            "AITHER_DATA_DIR": str(self.folder / "data"),
            "AITHER_CONFIG_FILE": str(self.folder / "aither.toml"),
            "AITHER_API_PORT": str(self.api_port),
            "AITHER_READY_FILE": str(self.folder / f"{name}.ready"),
            "AITHER_METRICS_PORT": str(self.metrics_ports[name]),
        }
        machine = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "NO_COLOR": "1",
            **{key: os.environ[key] for key in ("PYTHONPYCACHEPREFIX",) if key in os.environ},
        }
        kept = {key: value for key, value in given.items() if key not in LEFT_OUT}
        return machine | kept | {key: value for key, value in own.items() if key in given}

    async def once(self, name: str, *instead: str) -> str:
        """Runs a service that ends by itself, or another command in its container; what it prints."""
        command = instead or services(MAIN)[name]["command"]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self.environment(name),
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(START_S):
            printed, complaint = await process.communicate()
        assert process.returncode == 0, f"{command}: {printed.decode()}{complaint.decode()}"
        return printed.decode()

    async def up(self, *names: str, **variables: str) -> None:
        """Starts those services that do not run, all at once, and waits until each is ready.

        One that runs with other variables than are given is stopped first.
        """
        others = [n for n in names if self.alive(n) and variables and self.running[n].variables != variables]
        for name in others:
            self.tell_to_stop(name)
        for name in others:
            await self.stopped(name)
        await asyncio.gather(*(self._start(name, variables) for name in names if not self.alive(name)))

    def alive(self, name: str) -> bool:
        return name in self.running and self.running[name].process.returncode is None

    async def kill(self, name: str) -> None:
        """Kills it without a word of warning."""
        self.running[name].process.kill()
        await self.running[name].process.wait()

    def tell_to_stop(self, name: str) -> None:
        self.running[name].process.send_signal(signal.SIGTERM)

    async def stopped(self, name: str) -> int:
        """Waits for its end within the grace that compose gives it; the exit code."""
        async with asyncio.timeout(grace_s(services(MAIN)[name])):
            return await self.running[name].process.wait()

    async def looked_at(self, name: str) -> None:
        """Has its container's health check look at it."""
        kind, *command = services(MAIN)[name]["healthcheck"]["test"]
        assert kind == "CMD"
        await self.once(name, *(word.replace(":8001/", f":{self.api_port}/") for word in command))

    async def rows(self, sql: str, *parameters: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.admin)
        try:
            return await connection.fetch(sql, *parameters)
        finally:
            await connection.close()

    async def _start(self, name: str, variables: Mapping[str, str]) -> None:
        self._starts += 1
        environment = self.environment(name, **variables)
        ready, log = self.folder / f"{name}.ready", self.folder / f"{name}.{self._starts}.log"
        ready.unlink(missing_ok=True)
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *services(MAIN)[name]["command"],
                env=environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.running[name] = started = Running(name, process, log, ready, variables)
        async with asyncio.timeout(START_S):
            while not await self._is_ready(started):
                assert process.returncode is None, f"{name}: {started.said()[-3000:]}"
                await asyncio.sleep(POLL_S)

    async def _is_ready(self, started: Running) -> bool:
        if started.name != "api":
            return started.ready.exists()
        async with httpx2.AsyncClient(timeout=5) as http:
            try:
                return (await http.get(f"{self.api_url}/health")).status_code == 200
            except NO_ANSWER:
                return False


@asynccontextmanager
async def installation(ground: Ground, folder: Path, config: str) -> AsyncGenerator[Installation]:
    """An installation on the ground's servers: a namespace, a database and a Redis of its own; nothing runs yet."""
    name = f"journey-{os.urandom(4).hex()}"
    address = ground.client.service_client.config.target_host
    (folder / "data").mkdir()
    (folder / "aither.toml").write_text(config)
    async with AsyncExitStack() as stack:
        redis = RedisServer(free_port(), folder)
        await redis.start()
        stack.push_async_callback(redis.kill)
        await _database(ground, name)
        stack.push_async_callback(_drop, ground, name)
        port = free_port()
        made = Installation(
            folder,
            {
                "AITHER_TEMPORAL_ADDRESS": address,
                "AITHER_TEMPORAL_NAMESPACE": name,
                "AITHER_DATABASE_URL": _of(ground.stores.app, name),
                "AITHER_ADMIN_DATABASE_URL": _of(ground.stores.admin, name),
                "AITHER_REDIS_URL": redis.url,
                "AITHER_PUBLIC_URL": f"http://{HOST}:{port}",
                "AITHER_BURST_MASTER_KEY": "of a test " * 4,
                "POSTGRES_APP_PASSWORD": "unused",
                "POSTGRES_ADMIN_PASSWORD": "unused",
                "VALKEY_PASSWORD": "unused",
                "AITHER_QDRANT_API_KEY": "unused",
                "AITHER_MODELS_S3_SECRET_KEY": "unused",
            },
            port,
            _of(ground.stores.admin, name),
        )
        try:
            yield made
        finally:
            for each in made.running.values():
                if each.process.returncode is None:
                    each.process.kill()
                await each.process.wait()
            # There is none where its setup has failed.
            with suppress(RPCError):
                await ground.client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


async def _database(ground: Ground, name: str) -> None:
    connection = await asyncpg.connect(ground.stores.admin)
    try:
        await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()


async def _drop(ground: Ground, name: str) -> None:
    connection = await asyncpg.connect(ground.stores.admin)
    try:
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


def _of(dsn: str, name: str) -> str:
    return f"{dsn.rpartition('/')[0]}/{name}"
