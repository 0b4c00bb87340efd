"""How to tell that a part is up. Every probe answers within a second and never raises."""

import asyncio
from pathlib import Path

from infra.embedded.parts import Probe

PATIENCE_S = 1.0


async def exchange(host: str, port: int, request: bytes, enough: int) -> bytes:
    """What the server says to `request`, up to `enough` bytes; nothing when it cannot be reached."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                reply = b""
                while len(reply) < enough and (more := await reader.read(enough - len(reply))):
                    reply += more
                return reply
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def http_ok(host: str, port: int, path: str) -> Probe:
    """Up when `GET path` is answered by 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def probe() -> bool:
        return (await exchange(host, port, request, 12)).endswith(b" 200")

    return probe


def grpc_answers(host: str, port: int) -> Probe:
    """Up when a gRPC server speaks: to HTTP/2's greeting it says its settings."""
    no_settings = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))

    async def probe() -> bool:
        reply = await exchange(host, port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_settings, 4)
        return reply[3:4] == b"\x04"

    return probe


def redis_answers(host: str, port: int, password: str) -> Probe:
    """Up when Redis answers PING, which it does once its data are loaded."""
    expected = b"+OK\r\n+PONG\r\n"

    async def probe() -> bool:
        return await exchange(host, port, f"AUTH {password}\r\nPING\r\n".encode(), len(expected)) == expected

    return probe


def file_exists(path: Path) -> Probe:
    """Up when the part has written its readiness file."""

    async def probe() -> bool:
        return path.exists()  # noqa: ASYNC240

    return probe
