"""Keeps a process of ours in the registry: it beats for itself, straight into the database, and leaves at its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from activities.contracts.registry import HEARTBEAT_EVERY, Beat
from activities.errors import AitherError
from infra.postgres.registry import PostgresRegistry

log = logging.getLogger(__name__)

RETRY_S = 5.0
LEAVE_S = 2.0


@asynccontextmanager
async def registered(registry: PostgresRegistry, tell: Callable[[], Sequence[Beat]]) -> AsyncGenerator[None]:
    """Beats within the block with what `tell` says then, and says goodbye for the first beat's service after it.

    The others may have somebody else who beats for them. A database that is away costs a beat, never more.
    """
    task = asyncio.create_task(_keep_beating(registry, tell))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        try:
            async with asyncio.timeout(LEAVE_S):
                await registry.leave(tell()[0].name)
        except Exception as error:
            # An end that is not told is found out by its silence.
            log.info("not taken off the registry: %s: %s", type(error).__name__, error)


async def _keep_beating(registry: PostgresRegistry, tell: Callable[[], Sequence[Beat]]) -> None:
    away = False
    while True:
        try:
            await registry.beat(*tell())
            away = False
        except AitherError as error:
            if not away:
                log.warning("no heartbeat for a moment: %s", error.message)
            away = True
        except Exception:
            # Whatever is wrong with a heartbeat must not end the process's work.
            log.exception("no heartbeat")
            away = True
        await asyncio.sleep(RETRY_S if away else HEARTBEAT_EVERY.total_seconds())
