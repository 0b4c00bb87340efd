"""Which backends are barred right now, told by every worker process and read by the API, over Redis.

The words are only a hint that spares turns a detour: the worker that makes the call asks its own breaker in any
case, and a Redis that is away costs that detour, never a turn.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec

from activities.contracts.policy import Barred
from infra.redis_words import RedisWords, words_redis

TOPIC = "aither:barred"


class _Word(msgspec.Struct, frozen=True):
    said_at: float
    barred: tuple[Barred, ...]


_word = msgspec.json.Decoder(_Word)


class RedisBarred:
    """What the processes say. Both sides raise `redis.exceptions.RedisError` or OSError when Redis is away."""

    def __init__(self, words: RedisWords) -> None:
        self._words = words

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> "AsyncGenerator[RedisBarred]":
        """Connects lazily."""
        async with words_redis(url) as redis:
            yield cls(RedisWords(redis, TOPIC))

    async def say(self, process: str, barred: Sequence[Barred]) -> None:
        """What this process has barred, in place of what it said before."""
        word = _Word(said_at=time.time(), barred=tuple(barred))
        await self._words.say(process, msgspec.json.encode(word) if barred else None)

    async def heard(self) -> tuple[Barred, ...]:
        """What all processes have barred, each backend once and as soon as any would try it again.

        A backend whose time is over is left out: somebody has to try it.
        """
        now = time.time()
        found: dict[str, Barred] = {}
        for word in map(_word.decode, (await self._words.heard()).values()):
            for each in aged(word.barred, now - word.said_at):
                had = found.get(each.backend)
                if had is None or each.retry_in_s < had.retry_in_s:
                    found[each.backend] = each
        return tuple(found.values())


def aged(barred: Sequence[Barred], by_s: float) -> tuple[Barred, ...]:
    """The same, so many seconds later: without those whose time is over."""
    later = (replace(each, retry_in_s=each.retry_in_s - max(0.0, by_s)) for each in barred)
    return tuple(each for each in later if each.retry_in_s > 0)
