"""The settings of Telegram, checked: which bot, and how its updates come. Loads nothing of Telegram's library."""

import re
from collections.abc import Set
from dataclasses import dataclass, field

from infra.config.mistakes import ConfigError, Mistake
from infra.settings import Settings

TOKEN = re.compile(r"(\d{1,18}):[A-Za-z0-9_-]{10,}")
SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
WEBHOOK_PATH = "/v1/telegram/webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class BotAccess:
    """Which bot, where Telegram is, and the groups in which it may be used beside private chats."""

    bot_id: int
    token: str = field(repr=False)
    api_url: str
    groups: Set[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where Telegram is to send updates, and the word by which it is known. Without one, they are fetched."""

    url: str
    secret: str = field(repr=False)


def bot_access(settings: Settings) -> BotAccess | None:
    """The configured bot; None where there is none. Raises `ConfigError`, which quotes no secret."""
    token = settings.telegram_token.get_secret_value().strip() if settings.telegram_token else ""
    if not token:
        return None
    match = TOKEN.fullmatch(token)
    if match is None:
        raise _wrong("AITHER_TELEGRAM_TOKEN", "this is no bot's token: NUMBER:LETTERS is wanted")
    return BotAccess(
        bot_id=int(match[1]),
        token=token,
        api_url=settings.telegram_api_url,
        groups=settings.telegram_group_ids,
    )


def bot_webhook(settings: Settings) -> Webhook | None:
    """Where Telegram is to send updates; None where they are fetched. Raises `ConfigError`."""
    if bot_access(settings) is None or settings.telegram_mode == "polling":
        return None
    secret = settings.telegram_webhook_secret
    if secret is None or not SECRET.fullmatch(secret.get_secret_value()):
        wanted = "1 to 256 letters, digits, _ and - are wanted where AITHER_TELEGRAM_MODE is webhook"
        raise _wrong("AITHER_TELEGRAM_WEBHOOK_SECRET", wanted)
    return Webhook(url=settings.api_url.rstrip("/") + WEBHOOK_PATH, secret=secret.get_secret_value())


def _wrong(setting: str, wanted: str) -> ConfigError:
    return ConfigError(setting, [Mistake(text=wanted)])
