"""Telegram as a surface of approvals, and what it asks of Temporal."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import Client

from activities.approval_ports import Announcer
from activities.contracts.approvals import Surface
from infra.postgres.database import Database
from infra.postgres.telegram_cards import PostgresTelegramCards
from infra.settings import Settings
from infra.telegram.access import bot_access
from infra.telegram.announcing import Outward, TelegramAnnouncer
from workflows.approval_starts import wake_approval
from workflows.telegram_starts import show_card

RPC_LIMIT = timedelta(seconds=5)


def announcers(settings: Settings, database: Database, client: Client) -> Mapping[Surface, Announcer]:
    """Telegram, where there is a bot."""
    if bot_access(settings) is None:
        return {}
    cards = PostgresTelegramCards(database)
    show = outward(client).show
    return {Surface.TELEGRAM: TelegramAnnouncer(cards, show, settings.telegram_group_ids)}


def outward(client: Client) -> Outward:
    """What the surface asks of Temporal."""
    return Outward(
        tell=lambda ref: wake_approval(client, ref, rpc_timeout=RPC_LIMIT),
        show=lambda card: show_card(client, card, rpc_timeout=RPC_LIMIT),
    )
