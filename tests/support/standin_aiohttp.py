"""A stand-in's place on the network."""

from infra.market_demo.place import Place

__all__ = ["Place"]
