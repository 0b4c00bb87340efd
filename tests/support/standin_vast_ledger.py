"""What it has billed."""

from infra.market_demo.ledger import Clock, Entry, Ledger, Life, Span

__all__ = ["Clock", "Entry", "Ledger", "Life", "Span"]
