"""Following a turn to its end, by its stream while that lives and by its row whatever happens."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.exceptions import RedisError

from activities.contracts.events import TurnEvent
from activities.contracts.turn import TurnStatus
from activities.errors import StoreUnavailable, TurnNotFound
from api.relay import STARTED_ID, Relay, rebuilt_end_id, started
from infra.redis_events import RedisEvents

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.5
"""How long a silent stream is trusted before the row is looked at, hence what a lost stream costs at most."""
POLL_S = 1.0
"""How often the row is looked at while Redis is away."""
STALE_S = 0.0
"""The same for a turn that had ended before anybody asked: its stream has said all that it will say."""
END_GRACE_S = 0.2
"""Between recording an end and telling it: a stream gets so long to say what its row says already."""

Batches = AsyncGenerator[list[TurnEvent]]


class Rows(Protocol):
    """Where turns' rows are looked up."""

    async def view(self, tenant_id: str, turn_id: str) -> dict[str, Any] | None:
        """The turn as its readers see it."""
        ...


class Follower:
    """Waits for turns' ends and relays their events. `closing` ends both early, when the process stops."""

    def __init__(self, rows: Rows, events: RedisEvents, closing: asyncio.Event) -> None:
        self._rows = rows
        self._events = events
        self._closing = closing

    async def end(self, tenant_id: str, turn_id: str, seconds: float) -> dict[str, Any] | None:
        """The turn's view once it has ended; None when `seconds` have passed, or the process stops."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and not self._closing.is_set():
            block = min(left, LOOK_EVERY_S)
            try:
                async with asyncio.timeout(block + 1):
                    view = await self._events.read_end(turn_id, block_ms=max(1, int(block * 1000)))
                if view is not None:
                    return view
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("turn %s is followed by its row: %s", turn_id, type(error).__name__)
                await asyncio.sleep(min(left, POLL_S))
            view = await self._look(tenant_id, turn_id)
            if view is not None and has_ended(view):
                del view["input"]
                return view
        return None

    async def follow(self, tenant_id: str, turn_id: str, after: str | None) -> Batches | None:
        """The turn's events after the id `after`, in batches (empty ones say that nothing happened).

        None where `after` is the turn's last event. Raises `TurnNotFound`. The batches cease without an
        end only when the process stops; the reader then resumes elsewhere.
        """
        view = await self._rows.view(tenant_id, turn_id)
        if view is None:
            raise TurnNotFound(f"there is no turn {turn_id}")
        reader = _Reader(tenant_id, turn_id, STALE_S if has_ended(view) else LOOK_EVERY_S)
        if after is None or after == STARTED_ID:
            return self._batches(reader, [started(view)] if after is None else [])
        if has_ended(view) and after == rebuilt_end_id(view):
            return None
        held, rest = await self._split(turn_id, after)
        if not held:
            return self._batches(reader, [reader.relay.lose(after)])
        if held[-1].kind.ends:
            return None
        reader.hear(held)
        return self._batches(reader, reader.hear(rest))

    async def _split(self, turn_id: str, after: str) -> tuple[list[TurnEvent], list[TurnEvent]]:
        """The stream's events up to and including the one with the id `after`, and those read beyond it.

        Nothing where the stream does not have that event, or cannot be read.
        """
        held: list[TurnEvent] = []
        position = "0"
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                while events := await self._events.read(turn_id, position, block_ms=0):
                    for index, event in enumerate(events):
                        if event.id == after:
                            return [*held, *events[: index + 1]], events[index + 1 :]
                    held += events
                    position = events[-1].id
        except (RedisError, OSError, TimeoutError):
            pass
        return [], []

    async def _batches(self, reader: "_Reader", first: list[TurnEvent]) -> Batches:
        yield first
        if first and first[-1].kind.ends:
            return
        while not self._closing.is_set():
            events = await self._read(reader)
            if events:
                told = reader.hear(events)
                yield told
                if told and told[-1].kind.ends:
                    return
                continue
            view = await self._look(reader.tenant_id, reader.turn_id)
            if view is not None and has_ended(view):
                if events is None or reader.patience < LOOK_EVERY_S:
                    del view["input"]
                    yield list(reader.relay.end(view))
                    return
                reader.patience = END_GRACE_S
                continue
            yield []
            if events is None:
                await asyncio.sleep(POLL_S)

    async def _read(self, reader: "_Reader") -> list[TurnEvent] | None:
        """What the stream says while the reader has patience; None where it cannot be read."""
        try:
            async with asyncio.timeout(reader.patience + 1):
                return await self._events.read(
                    reader.turn_id, reader.position, block_ms=int(reader.patience * 1000)
                )
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("turn %s is followed by its row: %s", reader.turn_id, type(error).__name__)
            return None

    async def _look(self, tenant_id: str, turn_id: str) -> dict[str, Any] | None:
        try:
            return await self._rows.view(tenant_id, turn_id)
        except StoreUnavailable:
            return None


@dataclass(slots=True)
class _Reader:
    """One who follows a turn: where in the stream, what they hold, how long a silent stream is trusted."""

    tenant_id: str
    turn_id: str
    patience: float
    position: str = "0"
    relay: Relay = field(default_factory=Relay)

    def hear(self, events: list[TurnEvent]) -> list[TurnEvent]:
        """What the reader is told for these events of the stream, up to the turn's end."""
        told: list[TurnEvent] = []
        for event in events:
            self.position = event.id
            told += self.relay.hear(event)
            if event.kind.ends:
                break
        return told


def has_ended(view: Mapping[str, Any]) -> bool:
    """Whether nothing can change in the turn any more."""
    return TurnStatus(view["status"]).ended
