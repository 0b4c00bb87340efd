"""How it misbehaves."""

from infra.market_demo.faults import Boot, Fault, Faults, Op

__all__ = ["Boot", "Fault", "Faults", "Op"]
