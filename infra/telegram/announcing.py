"""Telegram as a surface of approvals: who gets a card is settled here, showing it is each card's own business."""

from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass

from activities.contracts.approvals import ApprovalRef, ApprovalView, Person
from activities.contracts.telegram import CardRef
from infra.postgres.telegram_cards import PostgresTelegramCards
from infra.telegram.cards import presses

ShowCard = Callable[[CardRef], Awaitable[None]]
"""Has a card brought up to what is true, some time soon. Says nothing of whether Telegram is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """What the surface asks of the rest: that the approval's workflow looks at it, and that a card is shown."""

    tell: Callable[[ApprovalRef], Awaitable[None]]
    show: ShowCard


class TelegramAnnouncer:
    """Implements `activities.approval_ports.Announcer`. Needs no Telegram: cards are planned, and told to be shown."""

    def __init__(self, cards: PostgresTelegramCards, show: ShowCard, groups: Set[int]) -> None:
        self._cards = cards
        self._show = show
        self._groups = groups

    async def announce(self, view: ApprovalView, people: Sequence[Person]) -> None:
        """See `Announcer`. The tenant's groups get a card too."""
        planned = await self._cards.plan(
            view.ref,
            people=[person.name for person in people],
            groups=sorted(self._groups),
            presses=presses(view),
        )
        await self._all(planned)

    async def remind(self, view: ApprovalView, people: Sequence[Person]) -> None:
        """See `Announcer`. The card's own count tells that it has a reminder to give."""
        await self.announce(view, people)

    async def settle(self, view: ApprovalView) -> None:
        """See `Announcer`."""
        await self.refresh(view.ref)

    async def refresh(self, ref: ApprovalRef) -> None:
        """Brings up the cards that there are."""
        await self._all(await self._cards.plan(ref))

    async def _all(self, planned: Sequence[CardRef]) -> None:
        for card in planned:
            await self._show(card)
