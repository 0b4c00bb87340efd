"""The embedded PostgreSQL for a moment, beside the stack: to be read from, or to be filled."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from infra.embedded import carried, postgres
from infra.embedded.layout import Layout
from infra.embedded.passwords import Passwords
from infra.embedded.spawn import spawn

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 60.0
POLL_S = 0.03


class PostgresFailed(Exception):
    """The server, or one of its programs, did not do what it was asked; says what it said."""


@asynccontextmanager
async def standing_by(layout: Layout, passwords: Passwords) -> AsyncGenerator[int]:
    """The port of a server on the directory's cluster, for the block; the cluster is made where there is none.

    For the holder of the stack's lock. Nothing is migrated. Raises `PostgresFailed`.
    """
    port = _free_port()
    part = postgres.postgres_part(layout, HOST, port, passwords)
    await part.before()
    process = await spawn(part, layout.log_file("postgres"))
    try:
        async with asyncio.timeout(START_S):
            while not await part.ready():
                if process.returncode is not None:
                    raise PostgresFailed(f"PostgreSQL did not start; see {layout.log_file('postgres')}")
                await asyncio.sleep(POLL_S)
        yield port
    except TimeoutError:
        raise PostgresFailed(f"PostgreSQL was not up after {START_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.send_signal(part.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def run_program(name: str, *arguments: str, host: str, port: int, password: str) -> bytes:
    """What one of PostgreSQL's programs prints, as the schema's owner. Raises `PostgresFailed` with what it says."""
    process = await asyncio.create_subprocess_exec(
        str(carried.postgres_program(name)),
        *("--host", host, "--port", str(port), "--username", postgres.ADMIN, "--no-password"),
        *arguments,
        # Not among the arguments, which every user of the machine can read.
        env={name: value for name, value in os.environ.items() if not name.startswith("PG")}
        | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise PostgresFailed(last[0])
    return printed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
