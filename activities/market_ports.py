"""The market that boxes are rented on, as a protocol that an adapter implements."""

from collections.abc import Sequence
from typing import Protocol

from activities.contracts.leases import BoxOrder, BoxSpec, Instance, Offer


class Marketplace(Protocol):
    """One market. It owns no retry: an order that is sent twice may be two boxes.

    Every call raises `MarketUnknown` where the answer was lost or cannot be read, `MarketRefused` where trying
    again is of no use (the key, the credit, the request itself) and `MarketBusy` where it is told to slow down
    and nothing was done.
    """

    async def search(self, spec: BoxSpec) -> Sequence[Offer]:
        """Offers that can be rented now. None is an answer; offers that cannot be read are left out."""
        ...

    async def create(self, offer: str, order: BoxOrder) -> str:
        """Rents the offer and returns the instance's id.

        Raises `OfferGone` where somebody else has it: nothing was rented. After `MarketUnknown` it may have
        been: look for the order's label before anything else is ordered.
        """
        ...

    async def list(self, label_prefix: str) -> tuple[Instance, ...]:
        """Every instance of the account whose label begins so, of all pages.

        Raises `MarketUnknown` rather than leave one out: whoever is not in the list is not there.
        """
        ...

    async def get(self, instance: str) -> Instance | None:
        """The instance; None where the market says that there is none."""
        ...

    async def destroy(self, instance: str) -> None:
        """Ends it; one that is not there is well. It is gone when `get` says so, not when this returns."""
        ...

    async def credit(self) -> float:
        """What the account can still spend, in US dollars."""
        ...
