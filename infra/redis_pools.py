"""The pools as the worker processes that serve them see them, told every second and read by the API, over Redis."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec

from activities.contracts.pools import PoolView
from infra.redis_words import RedisWords, words_redis

TOPIC = "aither:pools"

_pools = msgspec.json.Decoder(tuple[PoolView, ...])


class RedisPools:
    """What the processes say. Both sides raise `redis.exceptions.RedisError` or OSError when Redis is away."""

    def __init__(self, words: RedisWords) -> None:
        self._words = words

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> "AsyncGenerator[RedisPools]":
        """Connects lazily."""
        async with words_redis(url) as redis:
            yield cls(RedisWords(redis, TOPIC))

    async def say(self, process: str, pools: Sequence[PoolView]) -> None:
        """The process's pools, in place of what it said before; none takes that back."""
        await self._words.say(process, msgspec.json.encode(tuple(pools)) if pools else None)

    async def heard(self) -> dict[str, tuple[PoolView, ...]]:
        """The pools by worker process."""
        return {process: _pools.decode(word) for process, word in (await self._words.heard()).items()}
