"""Which backends are barred right now, told by every worker process and read by the API, over Redis.

A process's word lives a few seconds, so a process that dies takes it along. The words are only a hint that
spares turns a detour: the worker that makes the call asks its own breaker in any case, and a Redis that is away
costs that detour, never a turn.
"""

# redis-py publishes no complete types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from activities.contracts.policy import Barred

PROCESSES = "aither:barred"
"""The set of processes that have said something; whose word has expired is taken off it by the next reader."""
LIVES_S = 6.0
"""How long a process's word stands unless it is repeated."""


class _Word(msgspec.Struct, frozen=True):
    said_at: float
    barred: tuple[Barred, ...]


_word = msgspec.json.Decoder(_Word)


class RedisBarred:
    """What the processes say. Both sides raise `redis.exceptions.RedisError` or OSError when Redis is away."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> "AsyncGenerator[RedisBarred]":
        """Connects lazily."""
        redis: Redis = Redis.from_url(
            url, max_connections=2, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 1)
        )
        try:
            yield cls(redis)
        finally:
            await redis.aclose()

    async def say(self, process: str, barred: Sequence[Barred]) -> None:
        """What this process has barred; nothing takes its earlier word back."""
        pipe = self._redis.pipeline(transaction=False)
        if barred:
            word = msgspec.json.encode(_Word(said_at=time.time(), barred=tuple(barred)))
            pipe.set(_key(process), word, px=int(LIVES_S * 1000))
            pipe.sadd(PROCESSES, process)
        else:
            pipe.delete(_key(process))
            pipe.srem(PROCESSES, process)
        await pipe.execute()

    async def heard(self) -> tuple[Barred, ...]:
        """What all processes have barred, each backend once and as soon as any would try it again.

        A backend whose time is over is left out: somebody has to try it.
        """
        said: Any = await self._redis.smembers(PROCESSES)
        names = sorted(name.decode() for name in said)
        if not names:
            return ()
        words: Any = await self._redis.mget([_key(name) for name in names])
        gone = [name for name, word in zip(names, words, strict=True) if word is None]
        if gone:
            await self._redis.srem(PROCESSES, *gone)
        now = time.time()
        found: dict[str, Barred] = {}
        for word in (_word.decode(raw) for raw in words if raw is not None):
            for each in aged(word.barred, now - word.said_at):
                had = found.get(each.backend)
                if had is None or each.retry_in_s < had.retry_in_s:
                    found[each.backend] = each
        return tuple(found.values())


def aged(barred: Sequence[Barred], by_s: float) -> tuple[Barred, ...]:
    """The same, so many seconds later: without those whose time is over."""
    later = (
        Barred(backend=each.backend, why=each.why, retry_in_s=each.retry_in_s - max(0.0, by_s))
        for each in barred
    )
    return tuple(each for each in later if each.retry_in_s > 0)


def _key(process: str) -> str:
    return f"{PROCESSES}:{process}"
