"""Turns that wait, and how a test waits for what Temporal tells of them."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2

from tests.scheduler.conftest import PATIENCE_S, Desk


async def ask(client: httpx2.AsyncClient, **body: Any) -> str:
    """The id of a turn that was accepted, and that nobody will answer."""
    reply = await client.post("/v1/turns", json={"input": "Why is the sky blue?"} | body)
    assert reply.status_code == 202, reply.text
    return reply.json()["id"]


async def until(
    desk: Desk, client: httpx2.AsyncClient, path: str, right: Callable[[Any], bool], **parameters: Any
) -> Any:
    """What is at `path`, as soon as it is right; what it was last, where it never is."""
    seen: Any = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await desk.forget()
                reply = await client.get(path, params=parameters)
                assert reply.status_code == 200, reply.text
                seen = reply.json()
                if right(seen):
                    return seen
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{path} never came right: {seen}") from None


async def queue(desk: Desk, client: httpx2.AsyncClient, ids: set[str], **parameters: Any) -> Any:
    """The listing once it holds exactly these."""
    return await until(
        desk,
        client,
        "/v1/scheduler/queue",
        lambda seen: {call["id"] for call in seen["data"]} == ids,
        **parameters,
    )


async def cancel_all(client: httpx2.AsyncClient, ids: set[str]) -> None:
    for turn_id in ids:
        await client.post(f"/v1/turns/{turn_id}/cancel")
