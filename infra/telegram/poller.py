"""Reads updates by long polling: one process of all that are told to, elected by a lease in PostgreSQL.

That two believe to lead for a moment costs nothing: Telegram refuses one of them, and each update is kept once.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from telegram import Bot

from activities.errors import AitherError
from infra.postgres.telegram_updates import LEAD_TTL, PostgresTelegramUpdates
from infra.telegram.access import Webhook
from infra.telegram.client import TelegramConflict, translated
from infra.telegram.inbox import Inbox
from infra.telegram.updates import WANTED

log = logging.getLogger(__name__)

POLL_S = 10
"""How long Telegram holds a poll; well below the lease, which is renewed between polls."""
LIMIT = 100
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class Leader:
    """Fetches updates while this process leads; with a webhook, it sees to it that Telegram has it."""

    def __init__(
        self,
        bot: Bot,
        updates: PostgresTelegramUpdates,
        inbox: Inbox,
        holder: str,
        webhook: Webhook | None = None,
        *,
        ttl: timedelta = LEAD_TTL,
        poll_s: float = POLL_S,
    ) -> None:
        self._bot = bot
        self._updates = updates
        self._inbox = inbox
        self._holder = holder
        self._webhook = webhook
        self._ttl = ttl
        self._poll_s = poll_s
        self.leads = False
        self._ready = False
        self._offset = 0

    @asynccontextmanager
    async def leading(self) -> AsyncGenerator[None]:
        """Leads within the block when nobody else does; afterwards somebody else may at once."""
        task = asyncio.create_task(self._stand())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(AitherError):
                await self._updates.step_down(self._holder)

    async def _stand(self) -> None:
        pause, told = PAUSE_S, ""
        while True:
            try:
                await self._turn()
                pause, told = PAUSE_S, ""
                continue
            except TelegramConflict as error:
                # Another program's poll, or a webhook that somebody has set meanwhile.
                self._ready, why, wait = False, error.message, self._ttl.total_seconds() / 3
            except AitherError as error:
                asked = error.retry_after.total_seconds() if error.retry_after else 0.0
                why, wait = error.message, max(asked, pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            except Exception as error:
                log.exception("updates are not read")
                why, wait = type(error).__name__, LONGEST_PAUSE_S
            if why != told:
                told = why
                log.warning("updates are read later: %s", why)
            await asyncio.sleep(wait)

    async def _turn(self) -> None:
        """One poll, or one look at whether it is this process's turn."""
        led, self.leads = self.leads, await self._updates.lead(self._holder, self._ttl)
        if not self.leads:
            await asyncio.sleep(self._ttl.total_seconds() / 3)
            return
        if not led:
            self._ready, self._offset = False, 0
            log.info("this process reads the bot's updates")
        if self._webhook is not None:
            await self._set_webhook(self._webhook)
            await asyncio.sleep(self._ttl.total_seconds() / 3)
            return
        await self._poll()

    async def _set_webhook(self, webhook: Webhook) -> None:
        if not self._ready:
            with translated():
                await self._bot.set_webhook(
                    webhook.url, secret_token=webhook.secret, allowed_updates=WANTED, max_connections=20
                )
            self._ready = True

    async def _poll(self) -> None:
        if not self._ready:
            with translated():
                await self._bot.delete_webhook()
            self._ready = True
        began = time.monotonic()
        with translated():
            found = await self._bot.get_updates(
                offset=self._offset or None,
                limit=LIMIT,
                timeout=timedelta(seconds=self._poll_s),
                allowed_updates=WANTED,
            )
        if found:
            await self._inbox.keep([(update.update_id, update.to_json()) for update in found])
            # Asking from here on is what tells Telegram that those before have come.
            self._offset = max(update.update_id for update in found) + 1
        elif time.monotonic() - began < PAUSE_S:
            # A server that does not hold its polls is not to be asked all the time.
            await asyncio.sleep(PAUSE_S)
