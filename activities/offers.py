"""Shows what the market offers for a need, judged as a lease would: for people, nothing is rented."""

from collections.abc import Sequence
from typing import Protocol

from temporalio import activity

from activities.contracts.burst import OffersAsk
from activities.contracts.leases import BoxSpec, Need, Offer, Ranking
from activities.errors import AitherError, to_application_error
from activities.market_ports import Marketplace

MOST_OFFERS = 300
"""The answer is one message, and people read it."""


class OfferRules(Protocol):
    """The policy of offers."""

    def spec_of(self, need: Need, limit: int) -> BoxSpec:
        """The search for the need."""
        ...

    def rank(self, offers: Sequence[Offer], need: Need) -> Ranking:
        """Those that will do, the best first, and why the others will not."""
        ...


class OfferActivities:
    """`list-offers`, on the queue of whoever has the market's key."""

    def __init__(self, market: Marketplace, rules: OfferRules) -> None:
        self._market = market
        self._rules = rules

    @activity.defn(name="list-offers")
    async def list_offers(self, ask: OffersAsk) -> Ranking:
        """One search, judged. Errors carry the market's word; it is not asked again."""
        try:
            offers = await self._market.search(self._rules.spec_of(ask.need, MOST_OFFERS))
        except AitherError as error:
            raise to_application_error(error) from error
        return self._rules.rank(offers, ask.need)
