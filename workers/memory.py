"""Serves the swarm's ledger and memory, on the queue `memory`, as soon and as long as Qdrant is this process's.

Qdrant in-process belongs to one process at a time: another that is told to serve it stands by, and takes over when
the first one ends. A Qdrant server is everybody's.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from temporalio.worker import Worker

from activities.errors import StoreUnavailable
from activities.keeping import KeepingActivities
from activities.remembering import RememberingActivities
from activities.swarm_store import SwarmStore
from infra.embedded.layout import Layout
from infra.qdrant.client import opened
from infra.qdrant.ledger import QdrantLedger
from infra.qdrant.memory import QdrantMemory
from infra.qdrant.points import Qdrant
from infra.settings import Settings
from workers.composition import Composition
from workers.embedder import ServedEmbedder
from workers.swarm import swarming
from workflows.names import Queue
from workflows.policy import claims

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 2.0


def activities_of(parts: Composition, store: SwarmStore) -> Sequence[Callable[..., object]]:
    """Everything that is asked of ledger and memory, and what has to be beside them."""
    return [*RememberingActivities(store).all]


@asynccontextmanager
async def store_of(parts: Composition, settings: Settings, qdrant: Qdrant) -> AsyncGenerator[SwarmStore]:
    """Ledger and memory for the block. Raises `StoreUnavailable`."""
    async with ServedEmbedder.connected(settings, parts.topology.embedding_model) as embedder:
        memory = QdrantMemory(qdrant, settings.memory_collection, embedder)
        yield SwarmStore(QdrantLedger(qdrant, claims), memory, claims)


def copying(settings: Settings, qdrant: Qdrant) -> Sequence[Callable[..., object]]:
    """What a backup asks: a copy of what nobody else can read meanwhile. A Qdrant server has snapshots of its own."""
    if settings.qdrant_url:
        return []
    from infra.qdrant.local import LocalQdrant

    layout = Layout(settings.data_dir.expanduser().resolve())

    async def copy(name: str) -> None:
        assert isinstance(qdrant, LocalQdrant)
        await qdrant.copy(layout.memory_copy(name))

    return [KeepingActivities(copy).copy_memory]


@asynccontextmanager
async def remembering(parts: Composition, settings: Settings) -> AsyncGenerator[None]:
    """Serves them within the block, or stands by; running calls have a moment to finish at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(_stand_by(parts, settings, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _stand_by(parts: Composition, settings: Settings, stop: asyncio.Event) -> None:
    told = ""
    while not stop.is_set():
        try:
            await _serve(parts, settings, stop)
        except StoreUnavailable as error:
            if error.message != told:
                told = error.message
                log.warning("memory is not served here, but will be when it can: %s", told)
        except Exception:
            log.exception("the memory worker failed; it is started again")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_AGAIN_S)


async def _serve(parts: Composition, settings: Settings, stop: asyncio.Event) -> None:
    async with (
        opened(settings) as qdrant,
        store_of(parts, settings, qdrant) as store,
        swarming(parts, store, settings) as swarm,
    ):
        worker = Worker(
            parts.client,
            task_queue=Queue.MEMORY,
            **parts.versioning.shared,
            activities=[*activities_of(parts, store), *copying(settings, qdrant), *swarm],
            graceful_shutdown_timeout=parts.drain,
        )
        running = asyncio.create_task(worker.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            log.info("memory is served here: %s", settings.qdrant_url or settings.data_dir / "qdrant")
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not running.done():
                await worker.shutdown()
            await running
