"""The side channel of jobs: one Redis stream a job, to which every worker adds what it does.

The truth is in PostgreSQL. Many write at once, so Redis itself numbers the events: ids grow in the order of writing.
"""

# redis-py publishes no complete types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from activities.contracts.jobs import JobEvent, JobEventKind

log = logging.getLogger(__name__)

MOST_EVENTS = 100_000
"""Kept of one job, more or less; older ones are dropped."""


class RedisJobs:
    """Implements `activities.swarm_ports.JobTeller`, and the reading side for the API."""

    def __init__(self, redis: "Redis", ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, ttl_s: int, *, max_connections: int = 256
    ) -> "AsyncGenerator[RedisJobs]":
        """Connects lazily: a Redis that is away at the start is found when it comes."""
        redis: Redis = Redis.from_url(
            url, max_connections=max_connections, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1)
        )
        try:
            yield cls(redis, ttl_s)
        finally:
            await redis.aclose()

    async def tell(self, job_id: str, *events: tuple[JobEventKind, Mapping[str, Any]]) -> None:
        """See `JobTeller`."""
        key = _key(job_id)
        pipe = self._redis.pipeline(transaction=False)
        for kind, data in events:
            pipe.xadd(key, {"k": kind.value, "d": orjson.dumps(data)}, maxlen=MOST_EVENTS, approximate=True)
        pipe.expire(key, self._ttl_s)
        try:
            await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("events of job %s are lost to its readers: %s", job_id, type(error).__name__)

    async def read(self, job_id: str, after: str, *, block_ms: int) -> list[JobEvent]:
        """Events with ids above `after` ("0" reads from the start), or none after `block_ms` milliseconds.

        Raises `redis.exceptions.RedisError` or OSError when Redis is away: the caller falls back to the row.
        """
        found: Any = await self._redis.xread({_key(job_id): after}, count=1000, block=block_ms or None)
        return [_event(raw_id, fields) for _, entries in found or [] for raw_id, fields in entries]


def _key(job_id: str) -> str:
    return f"aither:job:{job_id}"


def _event(raw_id: bytes, fields: Mapping[bytes, bytes]) -> JobEvent:
    return JobEvent(
        id=raw_id.decode(), kind=JobEventKind(fields[b"k"].decode()), data=orjson.loads(fields[b"d"])
    )
