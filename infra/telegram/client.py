"""The connection to Telegram by python-telegram-bot, and the one translation of its failures."""

import logging
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from activities.errors import AitherError

# Read by the library when it builds a RetryAfter; without it each comes with a warning, and with whole seconds.
os.environ.setdefault("PTB_TIMEDELTA", "true")

from telegram import Bot
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

CALL_S = 15.0
"""How long a call to Telegram may take, beside what a long poll waits on purpose."""
CONNECTIONS = 32
LOOK_AGAIN = timedelta(minutes=2)
"""When to try again what only an operator can mend."""


class TelegramUnavailable(AitherError):
    """Telegram cannot be reached, is broken, or has us wait (`retry_after`)."""

    code = "telegram_unavailable"
    retryable = True


class TelegramConflict(TelegramUnavailable):
    """Somebody else reads this bot's updates, or a webhook is set."""

    code = "telegram_conflict"


class ChatClosed(AitherError):
    """The person has blocked the bot, or the chat is gone: nothing of this bot's gets there."""

    code = "telegram_chat_closed"


class MessageGone(AitherError):
    """The message cannot be edited any more."""

    code = "telegram_message_gone"


class TelegramRefused(AitherError):
    """Telegram refuses this call for good."""

    code = "telegram_refused"


class Unmodified(AitherError):
    """The message shows that already."""

    code = "telegram_unmodified"


@asynccontextmanager
async def open_bot(token: str, api_url: str) -> AsyncGenerator[Bot]:
    """The bot of this token, within the block. Asks nothing: Telegram need not be there."""
    # They write URLs, and each URL has the token.
    for name in ("telegram", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    root = api_url.rstrip("/")
    trusting: dict[str, Any] = {"trust_env": root.startswith("https://")}
    calls, polls = (
        HTTPXRequest(
            connection_pool_size=connections,
            read_timeout=CALL_S,
            write_timeout=CALL_S,
            connect_timeout=CALL_S,
            pool_timeout=CALL_S,
            httpx_kwargs=trusting,
        )
        for connections in (CONNECTIONS, 1)
    )
    try:
        yield Bot(token, f"{root}/bot", f"{root}/file/bot", request=calls, get_updates_request=polls)
    finally:
        await calls.shutdown()
        await polls.shutdown()


@contextmanager
def translated() -> Generator[None]:
    """Failures of the block in our words. Their causes are left behind: some hold the token."""
    try:
        yield
    except TelegramError as error:
        raise _translated(error) from None


def _translated(error: TelegramError) -> AitherError:  # noqa: PLR0911
    match error:
        case RetryAfter():
            wait = error.retry_after
            wait = wait if isinstance(wait, timedelta) else timedelta(seconds=wait)
            return TelegramUnavailable(f"Telegram has us wait {wait.total_seconds():g} s", retry_after=wait)
        case ChatMigrated():
            return ChatClosed(f"the group has become the group {error.new_chat_id}; bind that one")
        case Forbidden():
            return ChatClosed(error.message)
        case InvalidToken():
            return TelegramUnavailable(
                "Telegram does not know the bot: is AITHER_TELEGRAM_TOKEN right?", retry_after=LOOK_AGAIN
            )
        case Conflict():
            return TelegramConflict("another program reads this bot's updates, or has set a webhook")
        case BadRequest():
            return _refused(error.message)
        case _:
            return TelegramUnavailable(f"Telegram does not answer ({type(error).__name__})")


def _refused(message: str) -> AitherError:
    words = message.lower()
    if "message is not modified" in words:
        return Unmodified(message)
    if any(
        w in words for w in ("message to edit not found", "message can't be edited", "message_id_invalid")
    ):
        return MessageGone(message)
    if any(
        w in words for w in ("chat not found", "peer_id_invalid", "not enough rights", "chat_write_forbidden")
    ):
        return ChatClosed(message)
    return TelegramRefused(message)
