"""Whether the API can serve, and how the parts behind it answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError

from activities.errors import StoreUnavailable
from api.runs import TurnRuns
from infra.postgres.database import Database
from infra.redis_events import RedisEvents

PATIENCE_S = 1.5
FRESH_S = 1.0
"""How long one look serves everybody who asks: the address is open to all, and must not become a lever."""


class Health:
    """Looks at the parts, at most once a second."""

    def __init__(self, database: Database, events: RedisEvents, runs: TurnRuns, version: str) -> None:
        self._version = version
        self._parts: dict[str, Callable[[], Awaitable[object]]] = {
            "postgres": lambda: database.run(lambda c: c.fetchval("select 1")),
            "redis": lambda: events.read("health", "0", block_ms=0),
            "temporal": runs.healthy,
        }
        self._looked_at = 0.0
        self._view: dict[str, Any] = {}
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> dict[str, Any]:
        """`ok` where all answer, `unavailable` without the database, `degraded` otherwise."""
        async with self._one_at_a_time:
            if time.monotonic() - self._looked_at >= FRESH_S:
                seen = await asyncio.gather(*map(_seen, self._parts.values()))
                parts = dict(zip(self._parts, seen, strict=True))
                self._view = {"status": _status(parts), "version": self._version, "parts": parts}
                self._looked_at = time.monotonic()
            return self._view


async def _seen(look: Callable[[], Awaitable[object]]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            state = "away" if await look() is False else "up"
    except (StoreUnavailable, RedisError, OSError, TimeoutError):
        state = "away"
    return {"state": state, "ms": round((time.monotonic() - began) * 1000, 1)}


def _status(parts: dict[str, dict[str, Any]]) -> str:
    if parts["postgres"]["state"] != "up":
        return "unavailable"
    return "ok" if all(part["state"] == "up" for part in parts.values()) else "degraded"
