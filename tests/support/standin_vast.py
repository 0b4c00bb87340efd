"""The stand-in market, which the demo runs too."""

from infra.market_demo.market import StandInVast

__all__ = ["StandInVast"]
