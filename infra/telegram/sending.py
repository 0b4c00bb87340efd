"""Messages to chats: within Telegram's limits, and with its failures in our words."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    MessageEntity,
    ReplyParameters,
)

from infra.postgres.telegram_cards import Press
from infra.postgres.telegram_updates import PostgresTelegramUpdates
from infra.telegram.cards import Rendered
from infra.telegram.client import TelegramUnavailable, Unmodified, translated
from infra.telegram.wording import cut, units

TOAST_CHARS = 200
PLACE_MOST = timedelta(seconds=5)
"""How long a message waits here for its place; one that has to wait for longer comes again."""
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class Messenger:
    """Sends and edits. Formatting goes by positions, so that no text can be taken for markup.

    Raises `TelegramUnavailable`, `ChatClosed`, `MessageGone`, `TelegramRefused` and `StoreUnavailable`.
    """

    def __init__(self, bot: Bot, updates: PostgresTelegramUpdates) -> None:
        self._bot = bot
        self._updates = updates

    async def send(
        self,
        chat_id: int,
        message: Rendered,
        buttons: Mapping[Press, str] | None = None,
        reply_to: int | None = None,
    ) -> int:
        """A new message; its id. `buttons` says what stands for each press."""
        return await self._send(
            chat_id, message.text, _bold(message), _keyboard(message, buttons or {}), reply_to
        )

    async def say(self, chat_id: int, text: str, reply_to: int | None = None) -> int:
        """A new message of plain words; its id."""
        return await self._send(chat_id, text, [], None, reply_to)

    async def edit(
        self, chat_id: int, message_id: int, message: Rendered, buttons: Mapping[Press, str]
    ) -> None:
        """The message says this from now on; that it says so already is as good."""
        await self._place(chat_id)
        try:
            with translated():
                await self._bot.edit_message_text(
                    message.text,
                    chat_id,
                    message_id,
                    entities=_bold(message),
                    link_preview_options=NO_PREVIEW,
                    reply_markup=_keyboard(message, buttons),
                )
        except Unmodified:
            return

    async def toast(self, query_id: str, text: str, *, alert: bool = False) -> None:
        """Answers a tap; the person's Telegram waits for it. Without limits of its own."""
        with translated():
            await self._bot.answer_callback_query(query_id, cut(text, TOAST_CHARS), show_alert=alert)

    async def _send(
        self,
        chat_id: int,
        text: str,
        entities: list[MessageEntity],
        keyboard: InlineKeyboardMarkup | None,
        reply_to: int | None,
    ) -> int:
        await self._place(chat_id)
        reply = ReplyParameters(reply_to, allow_sending_without_reply=True) if reply_to is not None else None
        with translated():
            sent: Message = await self._bot.send_message(
                chat_id,
                text,
                entities=entities,
                link_preview_options=NO_PREVIEW,
                reply_markup=keyboard,
                reply_parameters=reply,
            )
        return sent.message_id

    async def _place(self, chat_id: int) -> None:
        place = await self._updates.place(chat_id, PLACE_MOST)
        if not place.taken:
            raise TelegramUnavailable(
                f"chat {chat_id} has had as many messages as it may get for now",
                retry_after=timedelta(seconds=place.wait_s),
            )
        await asyncio.sleep(place.wait_s)


def _bold(message: Rendered) -> list[MessageEntity]:
    before, found, _ = message.text.partition(f"\n\n{message.title}")
    if not found:
        return []
    return [MessageEntity(MessageEntity.BOLD, units(before) + 2, units(message.title))]


def _keyboard(message: Rendered, buttons: Mapping[Press, str]) -> InlineKeyboardMarkup | None:
    rows = [
        [
            InlineKeyboardButton(label, callback_data=buttons[press])
            for label, press in row
            if press in buttons
        ]
        for row in message.rows
    ]
    rows = [row for row in rows if row]
    return InlineKeyboardMarkup(rows) if rows else None
