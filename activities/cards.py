"""Publishing what a GPU card tells of itself."""

from typing import Protocol

from temporalio import activity

from activities.contracts.cards import CardView
from activities.errors import AitherError, to_application_error


class CardShelf(Protocol):
    """Where cards' views are kept for everybody to read. Raises `StoreUnavailable`."""

    async def publish(self, view: CardView) -> None:
        """Keeps the view unless a newer one of its card is there. Safe to run twice."""
        ...


class CardActivities:
    """`publish-card`, on the queue of the cards' workflows."""

    def __init__(self, shelf: CardShelf) -> None:
        self._shelf = shelf

    @activity.defn(name="publish-card")
    async def publish_card(self, view: CardView) -> None:
        """Keeps what a card tells of itself."""
        try:
            await self._shelf.publish(view)
        except AitherError as error:
            raise to_application_error(error) from error
