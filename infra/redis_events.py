"""The side channel: one Redis stream a turn, written by the attempt at work, read by whoever listens.

The truth is in PostgreSQL; the stream only makes it quick and shows it growing. So a Redis that is away
costs liveness, never an answer: writing never fails an attempt, and a reader falls back to the turn's row.

An entry's id is `<epoch>-<sequence>`: the epoch is the millisecond at which the attempt began. Redis
refuses an id that is not above the last one, so an attempt that has been replaced is fenced off by the
stream itself. Only with its first words may an attempt move its epoch up, past one whose clock is ahead.
"""

# redis-py publishes no complete types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from activities.contracts.events import EventKind, TurnEvent

log = logging.getLogger(__name__)

FLUSH_PATIENCE_S = 2.0
"""How long the end of an attempt waits for its last events to be taken."""
CANCELS = "aither:cancels"


def stream_key(turn_id: str) -> str:
    """The Redis key of a turn's stream."""
    return f"aither:turn:{turn_id}"


def end_key(turn_id: str) -> str:
    """The Redis key of a stream that gets the turn's end alone: who waits for it is not woken by tokens."""
    return f"aither:end:{turn_id}"


class RedisEventWriter:
    """One attempt's writer: events queue up in memory and go out in order, batched only by back-pressure."""

    def __init__(self, redis: "Redis", turn_id: str, ttl_s: int) -> None:
        self._redis = redis
        self._key = stream_key(turn_id)
        self._end_key = end_key(turn_id)
        self._ttl_s = ttl_s
        self._epoch = time.time_ns() // 1_000_000
        self._sequence = 0
        self._waiting: list[tuple[int, EventKind, bytes]] = []
        self._task: asyncio.Task[None] | None = None
        self._fenced = False

    def emit(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        """See `EventWriter`."""
        if self._fenced:
            return
        self._sequence += 1
        self._waiting.append((self._sequence, kind, orjson.dumps(data)))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush())

    async def drain(self) -> None:
        """Waits, boundedly, until everything emitted has been taken."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FLUSH_PATIENCE_S)

    async def _flush(self) -> None:
        while self._waiting and not self._fenced:
            batch, self._waiting = self._waiting, []
            first = batch[0][0] == 1
            try:
                try:
                    await self._send(batch)
                except ResponseError:
                    if not first:
                        raise
                    await self._overtake()
                    await self._send(batch)
            except ResponseError as error:
                # The only id that Redis refuses is one that a later attempt has overtaken.
                log.warning("stream %s: %s", self._key, error)
                self._fenced = True
            except (RedisError, OSError) as error:
                # Dropping what could not be sent leaves a hole, which the reader would take for the whole;
                # a fenced writer leaves the reader to the turn's row, which is never wrong.
                log.warning("stream %s is lost to its readers: %s", self._key, type(error).__name__)
                self._fenced = True

    async def _send(self, batch: Sequence[tuple[int, EventKind, bytes]]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for sequence, kind, data in batch:
            pipe.xadd(self._key, {"k": kind.value, "d": data}, id=f"{self._epoch}-{sequence}")
        last = batch[-1]
        if last[1].ends:
            pipe.xadd(self._end_key, {"d": last[2]})
            pipe.expire(self._end_key, self._ttl_s)
        if last[1].ends or batch[0][0] == 1:
            pipe.expire(self._key, self._ttl_s)
        await pipe.execute()

    async def _overtake(self) -> None:
        """Puts this attempt behind the one before it, where the other's machine has a clock that is ahead."""
        newest: Any = await self._redis.xrevrange(self._key, count=1)
        if newest:
            self._epoch = int(newest[0][0].partition(b"-")[0]) + 1


class RedisEvents:
    """Implements `activities.ports.EventChannel`, and the reading side for the API."""

    def __init__(self, redis: "Redis", ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, ttl_s: int, *, max_connections: int = 256
    ) -> "AsyncGenerator[RedisEvents]":
        """Connects lazily: a Redis that is away at the start is found when it comes."""
        redis: Redis = Redis.from_url(
            url,
            max_connections=max_connections,
            socket_connect_timeout=2,
            # One try more, for a pooled connection that died idle. The default of ten, seconds apart, would
            # keep readers from the turn's row; and a batch written twice reads as overtaken.
            retry=Retry(NoBackoff(), 1),
        )
        try:
            yield cls(redis, ttl_s)
        finally:
            await redis.aclose()

    @asynccontextmanager
    async def writer(self, turn_id: str) -> AsyncGenerator[RedisEventWriter]:
        """See `EventChannel`."""
        writer = RedisEventWriter(self._redis, turn_id, self._ttl_s)
        try:
            yield writer
        finally:
            await writer.drain()

    async def text_so_far(self, turn_id: str, step: int) -> str:
        """See `EventChannel`."""
        try:
            entries: Any = await self._redis.xrange(stream_key(turn_id))
        except (RedisError, OSError):
            return ""
        text, at = "", None
        for event in (_event(raw_id, fields) for raw_id, fields in entries):
            if event.kind in {EventKind.HOP_STARTED, EventKind.HOP_RESTARTED}:
                at, text = event.data["step"], text[: event.data["offset"]]
            elif event.kind is EventKind.TOKEN:
                text = text[: event.data["offset"]] + event.data["text"]
        return text if at == step else ""

    async def read(self, turn_id: str, after: str, *, block_ms: int) -> list[TurnEvent]:
        """Events with ids above `after` ("0" reads from the start), or none after `block_ms` milliseconds.

        0 takes what is there, at once; an idle Redis wakes from short waits only every 100 ms.
        Raises `redis.exceptions.RedisError` or OSError when Redis is away: the caller falls back to the row.
        """
        found: Any = await self._redis.xread({stream_key(turn_id): after}, count=1000, block=block_ms or None)
        return [_event(raw_id, fields) for _, entries in found or [] for raw_id, fields in entries]

    async def read_end(self, turn_id: str, *, block_ms: int) -> dict[str, Any] | None:
        """The turn as its last event shows it, or None where it has not ended after `block_ms` milliseconds.

        Raises as `read` does.
        """
        found: Any = await self._redis.xread({end_key(turn_id): "0"}, count=1, block=block_ms)
        for _, entries in found or []:
            for _, fields in entries:
                return orjson.loads(fields[b"d"])
        return None

    async def announce_cancel(self, turn_id: str) -> None:
        """Tells every worker at once that the turn is cancelled; a heartbeat would say so seconds later."""
        await self._redis.publish(CANCELS, turn_id)

    async def cancels(self) -> AsyncIterator[str]:
        """The turn ids that are being cancelled, as they are announced; ends when Redis goes away."""
        try:
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(CANCELS)
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield message["data"].decode()
        except (RedisError, OSError) as error:
            log.warning("cancels are not heard for a moment: %s", type(error).__name__)


def _event(raw_id: bytes, fields: Mapping[bytes, bytes]) -> TurnEvent:
    return TurnEvent(
        id=raw_id.decode(), kind=EventKind(fields[b"k"].decode()), data=orjson.loads(fields[b"d"])
    )
