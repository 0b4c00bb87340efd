"""Brings one card up to what is true: whatever was lost or late before, it shows the approval as it is."""

from activities.approval_ports import Deciding
from activities.contracts.approvals import ApprovalStatus, ApprovalView
from activities.contracts.telegram import CardRef, Shown
from infra.postgres.telegram_cards import Card, PostgresTelegramCards
from infra.postgres.telegram_updates import PostgresTelegramUpdates
from infra.telegram import cards
from infra.telegram.client import ChatClosed, MessageGone, TelegramRefused
from infra.telegram.sending import Messenger


class CardShower:
    """Implements `activities.telegram.CardTeller`. One card is shown by one caller at a time: by its workflow."""

    def __init__(
        self,
        messenger: Messenger,
        store: PostgresTelegramCards,
        updates: PostgresTelegramUpdates,
        approvals: Deciding,
        bot_id: int,
    ) -> None:
        self._messenger = messenger
        self._store = store
        self._updates = updates
        self._approvals = approvals
        self._bot_id = bot_id

    async def show(self, card: CardRef) -> Shown:
        """See `CardTeller`."""
        kept = await self._store.card(card, self._bot_id)
        view = await self._approvals.view(card.approval)
        if kept is None or view is None:
            return Shown.GONE
        try:
            await self._bring_up(card, kept, view)
        except ChatClosed as error:
            await self._updates.note_blocked(card.chat_id, True)
            await self._store.note_trouble(card, error.message)
            return Shown.CLOSED
        except TelegramRefused as error:
            await self._store.note_trouble(card, error.message)
            return Shown.REFUSED
        await self._updates.note_blocked(card.chat_id, False)
        await self._store.note_trouble(card, "")
        return Shown.SHOWN

    async def _bring_up(self, card: CardRef, kept: Card, view: ApprovalView) -> None:
        message = cards.card(view, kept.time_zone)
        buttons = {button.press: button.id for button in kept.buttons}
        newest: int | None = None
        for each in kept.messages:
            newest = each.id
            if each.shown != message.digest:
                try:
                    await self._messenger.edit(card.chat_id, each.id, message, buttons)
                except MessageGone:
                    await self._store.drop_message(card, self._bot_id, each.id)
                    newest = None
                    continue
                await self._store.keep_message(card, self._bot_id, each.id, shown=message.digest)
        if newest is None:
            newest = await self._messenger.send(card.chat_id, message, buttons)
            await self._store.keep_message(card, self._bot_id, newest, shown=message.digest)
            await self._store.note_reminded(card, view.reminded)
        elif view.status is ApprovalStatus.OPEN and view.reminded > kept.reminded:
            words = cards.reminder(view, kept.time_zone)
            said = await self._messenger.send(card.chat_id, words, reply_to=newest)
            await self._store.note_reminded(card, view.reminded)
            await self._store.keep_message(card, self._bot_id, said, is_card=False)
