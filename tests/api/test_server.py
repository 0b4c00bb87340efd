"""The process itself: starts with nothing there, stops at once, and lets go of who waits."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests.api.conftest import Api, ask
from tests.api.stores import HOST, free_port

ROOT = Path(__file__).parents[2]
GONE = 1
"""A port at which nothing listens."""


@asynccontextmanager
async def api_process(**env: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """`python -m api.server` on a free port, once it answers; killed with the block."""
    port = free_port()
    variables = {"AITHER_API_PORT": str(port), **{f"AITHER_{name.upper()}": v for name, v in env.items()}}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.server",
        cwd=ROOT,
        env=os.environ | variables,
        stderr=asyncio.subprocess.PIPE,
    )
    url = f"http://{HOST}:{port}"
    try:
        async with asyncio.timeout(30), httpx2.AsyncClient(base_url=url) as client:
            while True:
                try:
                    await client.get("/health")
                    break
                except httpx2.TransportError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_starts_and_says_so_with_nothing_else_there() -> None:
    gone = f"{HOST}:{GONE}"
    async with (
        api_process(
            database_url=f"postgresql://x@{gone}/x", redis_url=f"redis://{gone}/0", temporal_address=gone
        ) as (process, url),
        httpx2.AsyncClient(base_url=url, timeout=20) as client,
    ):
        health = await client.get("/health")
        assert health.status_code == 503
        assert {part["state"] for part in health.json()["parts"].values()} == {"away"}
        reply = await client.get("/v1/turns", headers={"Authorization": "Bearer ak_x"})
        assert reply.status_code == 503
        assert reply.json()["type"] == "urn:aither:problem:store_unavailable"
        assert reply.headers["retry-after"]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await process.wait()


async def test_a_turn_is_accepted_without_temporal_and_who_waits_is_let_go(api: Api) -> None:
    async with (
        api_process(
            database_url=api.stores.app, redis_url=api.stores.redis.url, temporal_address=f"{HOST}:{GONE}"
        ) as (process, url),
        httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {api.key}"}, timeout=40
        ) as client,
    ):
        turn = await ask(client, wait=None)
        assert turn["status"] == "running"
        # The start of the first is still being tried, so that nobody else waits for Temporal.
        waiting = asyncio.create_task(ask(client, wait=600))
        following = asyncio.create_task(client.get(f"/v1/turns/{turn['id']}/events"))
        async with asyncio.timeout(10):
            while len((await client.get("/v1/turns?status=running")).json()["data"]) < 2:
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert (await waiting)["status"] == "running"
            assert "event: turn.started" in (await following).text
            assert await process.wait() == 0
        # Nothing is lost: another process serves both turns.
        async with api.client() as other:
            assert (await other.get(f"/v1/turns/{turn['id']}")).json()["status"] == "running"


async def test_a_process_that_is_told_to_stop_is_not_well(api: Api) -> None:
    async with api.client() as client:
        api.app.state.closing.set()
        try:
            reply = await client.get("/health")
        finally:
            api.app.state.closing.clear()
        assert (reply.status_code, reply.json()["status"]) == (503, "stopping")
        assert (await client.get("/health")).json()["status"] != "stopping"
