"""The parts of the Telegram surface, put together for a process that reads or shows."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from telegram import Bot

from activities.approval_ports import Deciding
from infra.postgres.database import Database
from infra.postgres.telegram import PostgresTelegram
from infra.postgres.telegram_cards import PostgresTelegramCards
from infra.postgres.telegram_updates import PostgresTelegramUpdates
from infra.telegram.access import BotAccess
from infra.telegram.announcing import Outward, TelegramAnnouncer
from infra.telegram.client import open_bot
from infra.telegram.inbox import Inbox
from infra.telegram.sending import Messenger
from infra.telegram.telling import CardShower
from infra.telegram.updates import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramSurface:
    """A bot with everything that answers for it. The inbox deals with updates only while it is `working`."""

    bot: Bot
    updates: PostgresTelegramUpdates
    inbox: Inbox
    shower: CardShower


@asynccontextmanager
async def opened_surface(
    access: BotAccess, database: Database, approvals: Deciding, outward: Outward
) -> AsyncGenerator[TelegramSurface]:
    """The surface within the block. Telegram itself need not be there."""
    async with open_bot(access.token, access.api_url) as bot:
        updates = PostgresTelegramUpdates(database, access.bot_id)
        messenger = Messenger(bot, updates)
        cards = PostgresTelegramCards(database)
        desk = Desk(
            messenger=messenger,
            bindings=PostgresTelegram(database),
            cards=cards,
            updates=updates,
            approvals=approvals,
            announcer=TelegramAnnouncer(cards, outward.show, access.groups),
            tell=outward.tell,
            groups=access.groups,
            bot_id=access.bot_id,
        )
        yield TelegramSurface(
            bot=bot,
            updates=updates,
            inbox=Inbox(updates, desk),
            shower=CardShower(messenger, cards, updates, approvals, access.bot_id),
        )
