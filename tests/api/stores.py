"""A real PostgreSQL and a real Redis for tests of the API, started without the rest of the stack."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from infra.embedded.layout import Layout
from infra.embedded.passwords import Passwords
from infra.embedded.postgres import ADMIN, APP, dsn, postgres_part
from infra.embedded.spawn import launch_argv, spawn

HOST = "127.0.0.1"
PASSWORDS = Passwords(postgres_admin="admin", postgres_app="app", redis="")
PATIENCE_S = 30.0


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@dataclass
class RedisServer:
    """A Redis that can be taken away and brought back, empty."""

    port: int
    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    async def start(self) -> None:
        program = Path(sys.executable).parent / "redis-server"
        argv = (str(program), "--port", str(self.port), "--save", "", "--dir", str(self.folder))
        self.process = await asyncio.create_subprocess_exec(
            *launch_argv(argv, signal.SIGKILL, None),
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(PATIENCE_S):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer == b"+PONG\r\n"


@dataclass(frozen=True)
class Stores:
    """Where they are. `admin` sees all tenants; `app` is the role that row-level security binds."""

    admin: str
    app: str
    redis: RedisServer

    async def count(self, table: str) -> int:
        """Rows of all tenants together."""
        connection = await asyncpg.connect(self.admin)
        try:
            return await connection.fetchval(f"select count(*) from aither.{table}")
        finally:
            await connection.close()


@asynccontextmanager
async def stores() -> AsyncGenerator[Stores]:
    """Both, on free ports, with all migrations applied; gone with the block."""
    with tempfile.TemporaryDirectory(prefix="aither-api-") as folder:
        layout = Layout(Path(folder))
        layout.make()
        port = free_port()
        part = postgres_part(layout, HOST, port, PASSWORDS)
        await part.before()
        postgres = await spawn(part, layout.log_file("postgres"))
        redis = RedisServer(free_port(), layout.redis_dir)
        try:
            await redis.start()
            async with asyncio.timeout(PATIENCE_S):
                while not await part.ready():
                    await asyncio.sleep(0.02)
            await part.after()
            yield Stores(dsn(ADMIN, "admin", HOST, port), dsn(APP, "app", HOST, port), redis)
        finally:
            await redis.kill()
            postgres.send_signal(signal.SIGQUIT)
            await postgres.wait()
