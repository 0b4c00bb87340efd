"""Serves the Telegram surface: shows cards, reads updates or keeps the webhook set, deals with what came."""

import os
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.telegram import TelegramActivities
from infra.postgres.approvals import PostgresApprovals
from infra.postgres.database import Database
from infra.settings import Settings
from infra.telegram.access import bot_access, bot_webhook
from workers.telegram_announcing import outward
from workers.versioning import Versioning
from workflows.names import Queue

SHOWN_AT_ONCE = 20


@asynccontextmanager
async def telegram(settings: Settings, database: Database, client: Client) -> AsyncGenerator[None]:
    """Serves it within the block, where there is a bot. Telegram itself need not be there.

    Raises `ConfigError`.
    """
    bot = bot_access(settings)
    if bot is None:
        yield
        return
    from infra.telegram.poller import Leader
    from infra.telegram.surface import opened_surface

    # Containers may share a host name, and each has a process 1.
    holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    async with AsyncExitStack() as stack:
        surface = await stack.enter_async_context(
            opened_surface(bot, database, PostgresApprovals(database), outward(client))
        )
        shown = TelegramActivities(surface.shower)
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=Queue.TELEGRAM,
                **Versioning.of(settings).shared,
                activities=list(shown.all),
                max_concurrent_activities=SHOWN_AT_ONCE,
                graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds),
            )
        )
        await stack.enter_async_context(surface.inbox.working())
        leader = Leader(surface.bot, surface.updates, surface.inbox, holder, bot_webhook(settings))
        await stack.enter_async_context(leader.leading())
        yield
