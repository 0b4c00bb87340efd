"""The pools as they are now: what their workers say, what Temporal counts, and what is configured, in one look."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from redis.exceptions import RedisError
from temporalio.client import Client

from activities.contracts.pools import PoolView
from activities.contracts.registry import JoinedBackend
from activities.contracts.topology import Topology
from activities.errors import StoreUnavailable
from api.pooling import pools_of
from api.saturation import queue_figures
from api.scheduler_views import MissingPart, PoolState

log = logging.getLogger(__name__)

FRESH_S = 1.0
"""How long one look serves everybody who asks: those who watch must not multiply the load."""
PATIENCE_S = 1.5

Words = Mapping[str, Sequence[PoolView]]
"""What the worker processes say, by process."""

NO_WORDS = MissingPart(part="redis", missing="members' health, slots in use, waits")
NO_FIGURES = MissingPart(part="temporal", missing="backlog, its age, rates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. `words` is None where Redis is away; `addresses` are the members' base URLs, by backend."""

    pools: tuple[PoolState, ...]
    words: Words | None
    addresses: Mapping[str, str]
    degraded: tuple[MissingPart, ...]
    at: datetime

    def pool(self, name: str) -> PoolState | None:
        """The pool of that name."""
        return next((each for each in self.pools if each.name == name), None)

    def running(self) -> frozenset[str]:
        """The turns whose calls are in some worker's hands."""
        return frozenset(
            turn for pools in (self.words or {}).values() for pool in pools for turn in pool.running
        )


class Scheduling:
    """Looks at the pools, at most once in `FRESH_S`."""

    def __init__(
        self,
        topology: Topology,
        client: Client,
        heard: Callable[[], Awaitable[Words]],
        joined: Callable[[], Awaitable[Sequence[JoinedBackend]]],
    ) -> None:
        self._topology = topology
        self._client = client
        self._heard = heard
        self._joined = joined
        self._seen: Snapshot | None = None
        self._seen_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> Snapshot:
        """The pools, with what is missing where a part is away. Never raises for that."""
        async with self._one_at_a_time:
            if self._seen is None or time.monotonic() - self._seen_at >= FRESH_S:
                self._seen = await self._gathered()
                self._seen_at = time.monotonic()
            return self._seen

    async def _gathered(self) -> Snapshot:
        words, addresses = await asyncio.gather(self._words(), self._addresses())
        heard = {pool.pool for pools in (words or {}).values() for pool in pools}
        names = [*self._topology.pools(), *sorted(heard - self._topology.pools().keys())]
        figures = await queue_figures(self._client, names)
        degraded = [NO_WORDS] if words is None else []
        if len(figures) < len(names):
            degraded.append(NO_FIGURES)
        return Snapshot(
            pools=pools_of(names, self._topology, words, figures),
            words=words,
            addresses=addresses,
            degraded=tuple(degraded),
            at=datetime.now(UTC),
        )

    async def _words(self) -> Words | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._heard()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("what the workers say is not heard: %s", type(error).__name__)
        except msgspec.MsgspecError as error:
            # A worker of another release.
            log.warning("what a worker says is not understood: %s", error)
        return None

    async def _addresses(self) -> dict[str, str]:
        addresses = {backend.name: backend.base_url for backend in self._topology.backends}
        try:
            async with asyncio.timeout(PATIENCE_S):
                joined = await self._joined()
        except (StoreUnavailable, OSError, TimeoutError):
            return addresses
        return addresses | {each.backend.name: each.backend.base_url for each in joined}
