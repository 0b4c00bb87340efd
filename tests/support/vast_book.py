"""An offer book."""

from infra.market_demo.book import book, offer

__all__ = ["book", "offer"]
