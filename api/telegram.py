"""Telegram's calls of this API: known by their secret, kept before they are answered, dealt with after that."""

import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.client import Client

from infra.postgres.approvals import PostgresApprovals
from infra.postgres.database import Database
from infra.settings import Settings
from infra.telegram.access import bot_access, bot_webhook
from infra.telegram.announcing import Outward
from workflows.approval_starts import wake_approval
from workflows.telegram_starts import show_card

if TYPE_CHECKING:
    from infra.telegram.inbox import Inbox

RPC_LIMIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class TelegramHook:
    """The bot's webhook."""

    inbox: "Inbox"
    _secret: bytes

    def knows(self, word: str) -> bool:
        """Whether this is the secret, found out in a time that tells nothing of it."""
        return hmac.compare_digest(word.encode("utf-8", "replace"), self._secret)


@asynccontextmanager
async def telegram_hook(
    settings: Settings, database: Database, client: Client
) -> AsyncGenerator[TelegramHook | None]:
    """The webhook, within the block, where one is configured. Raises `ConfigError`."""
    access, webhook = bot_access(settings), bot_webhook(settings)
    if access is None or webhook is None:
        yield None
        return
    from infra.telegram.surface import opened_surface

    outward = Outward(
        tell=lambda ref: wake_approval(client, ref, rpc_timeout=RPC_LIMIT),
        show=lambda card: show_card(client, card, rpc_timeout=RPC_LIMIT),
    )
    async with (
        opened_surface(access, database, PostgresApprovals(database), outward) as surface,
        surface.inbox.working(),
    ):
        yield TelegramHook(surface.inbox, webhook.secret.encode())
