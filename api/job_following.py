"""Following a job to its end, by its stream while that lives and by its row whatever happens."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from redis.exceptions import RedisError

from activities.contracts.jobs import JobEvent, JobEventKind, JobRef
from activities.contracts.swarm import JobStatus
from activities.errors import StoreUnavailable
from infra.redis_jobs import RedisJobs

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.5
"""How long a silent stream is trusted before the row is looked at."""
POLL_S = 1.0
STARTED_ID = "0-1"
END_ID = "999999999999999-0"
"""Of an end that the row tells and no stream did: nothing is resumed after it."""

Batches = AsyncGenerator[list[JobEvent]]
ENDS = {
    JobStatus.COMPLETED: JobEventKind.COMPLETED,
    JobStatus.FAILED: JobEventKind.FAILED,
    JobStatus.CANCELLED: JobEventKind.CANCELLED,
}


class Rows(Protocol):
    """Where jobs' rows are looked up."""

    async def view(self, ref: JobRef) -> dict[str, Any] | None:
        """The job as its readers see it."""
        ...


class JobFollower:
    """Relays jobs' events. `closing` ends that early, when the process stops."""

    def __init__(self, rows: Rows, events: RedisJobs, closing: asyncio.Event) -> None:
        self._rows = rows
        self._events = events
        self._closing = closing

    async def follow(self, ref: JobRef, view: Mapping[str, Any], after: str | None) -> Batches | None:
        """The job's events after the id `after`, in batches (empty ones say that nothing happened).

        None where `after` was the last event. What a lost stream would have told is in the job at its end.
        """
        if after == END_ID:
            return None
        if after and after != STARTED_ID and has_ended(view) and await self._was_last(ref, after):
            return None
        first = [] if after else [_started(view)]
        return self._batches(ref, first, after or "0")

    async def end(self, ref: JobRef, seconds: float) -> dict[str, Any] | None:
        """The job's view once it has ended; None when `seconds` have passed, or the process stops."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        position, view = "0", await self._rows.view(ref)
        while view is not None and not has_ended(view):
            left = deadline - loop.time()
            if left <= 0 or self._closing.is_set():
                return None
            events = await self._read(ref, position, min(left, LOOK_EVERY_S))
            if events is None:
                await asyncio.sleep(min(left, POLL_S))
            elif events:
                position = events[-1].id
                if not events[-1].kind.ends:
                    continue
            view = await self._look(ref) or view
        return view

    async def _batches(self, ref: JobRef, first: list[JobEvent], position: str) -> Batches:
        yield first
        while not self._closing.is_set():
            events = await self._read(ref, position, LOOK_EVERY_S)
            if events:
                position = events[-1].id
                yield events
                if events[-1].kind.ends:
                    return
                continue
            view = await self._look(ref)
            if view is not None and has_ended(view):
                late = await self._read(ref, position, 0.001) or []
                ended = [] if late and late[-1].kind.ends else [_ended(view)]
                yield [*late, *ended]
                return
            yield []
            if events is None:
                await asyncio.sleep(POLL_S)

    async def _was_last(self, ref: JobRef, after: str) -> bool:
        try:
            newer = await self._events.read(ref.job_id, after, block_ms=0)
            return not newer and bool(await self._events.read(ref.job_id, "0", block_ms=0))
        except (RedisError, OSError):
            return False

    async def _read(self, ref: JobRef, position: str, seconds: float) -> list[JobEvent] | None:
        """What the stream says in time; None where it cannot be read."""
        try:
            async with asyncio.timeout(seconds + 1):
                return await self._events.read(ref.job_id, position, block_ms=max(1, int(seconds * 1000)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("job %s is followed by its row: %s", ref.job_id, type(error).__name__)
            return None

    async def _look(self, ref: JobRef) -> dict[str, Any] | None:
        try:
            return await self._rows.view(ref)
        except StoreUnavailable:
            return None


def has_ended(view: Mapping[str, Any]) -> bool:
    """Whether nothing can change in the job any more."""
    return JobStatus(view["status"]).ended


def _started(view: Mapping[str, Any]) -> JobEvent:
    shown = ("id", "status", "phase", "goal", "options", "accepted_at")
    return JobEvent(id=STARTED_ID, kind=JobEventKind.STARTED, data={key: view[key] for key in shown})


def _ended(view: Mapping[str, Any]) -> JobEvent:
    shown = {key: value for key, value in view.items() if key not in {"board", "context"}}
    return JobEvent(id=END_ID, kind=ENDS[JobStatus(view["status"])], data=shown)
