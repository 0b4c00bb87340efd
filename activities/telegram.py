"""The activity that brings one card on Telegram up to what is true."""

from collections.abc import Callable, Sequence
from typing import Protocol

from temporalio import activity

from activities.contracts.telegram import CardRef, Shown
from activities.errors import AitherError, to_application_error


class CardTeller(Protocol):
    """Shows cards. Raises retryable `activities.errors` while Telegram or the database is away."""

    async def show(self, card: CardRef) -> Shown:
        """Has the chat see the approval as it stands: sends the card, edits it, reminds of it. Safe to repeat."""
        ...


class TelegramActivities:
    """What the workflow of a card asks."""

    def __init__(self, teller: CardTeller) -> None:
        self._teller = teller

    @activity.defn(name="show-telegram-card")
    async def show_card(self, card: CardRef) -> Shown:
        """See `CardTeller`. Telegram's word on when to ask again is Temporal's."""
        try:
            return await self._teller.show(card)
        except AitherError as error:
            raise to_application_error(error) from None

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """All of them."""
        return [self.show_card]
