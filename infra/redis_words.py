"""What processes say of themselves, each under its own name, over Redis: hints that live a few seconds.

A process that dies takes its word along. Nothing true is kept here, so a Redis that is away costs freshness only.
"""

# redis-py publishes no complete types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

LIVES_S = 6.0
"""How long a process's word stands unless it is repeated."""


class RedisWords:
    """The words on one topic. Both sides raise `redis.exceptions.RedisError` or OSError when Redis is away."""

    def __init__(self, redis: "Redis", topic: str) -> None:
        self._redis = redis
        self._topic = topic

    async def say(self, process: str, word: bytes | None) -> None:
        """The process's word from now on, in place of its last one; None takes that back."""
        pipe = self._redis.pipeline(transaction=False)
        if word is not None:
            pipe.set(self._key(process), word, px=int(LIVES_S * 1000))
            pipe.sadd(self._topic, process)
        else:
            pipe.delete(self._key(process))
            pipe.srem(self._topic, process)
        await pipe.execute()

    async def heard(self) -> dict[str, bytes]:
        """The words that stand, by process."""
        said: Any = await self._redis.smembers(self._topic)
        names = sorted(name.decode() for name in said)
        if not names:
            return {}
        words: Any = await self._redis.mget([self._key(name) for name in names])
        gone = [name for name, word in zip(names, words, strict=True) if word is None]
        if gone:
            await self._redis.srem(self._topic, *gone)
        return {name: word for name, word in zip(names, words, strict=True) if word is not None}

    def _key(self, process: str) -> str:
        return f"{self._topic}:{process}"


@asynccontextmanager
async def words_redis(url: str) -> "AsyncGenerator[Redis]":
    """A lazy connection that gives up quickly: a word that is late is worth nothing."""
    redis: Redis = Redis.from_url(
        url, max_connections=2, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 1)
    )
    try:
        yield redis
    finally:
        await redis.aclose()
