"""Its boxes."""

from infra.market_demo.boxes import Box, Boxes, Launch, as_a_box, as_ordered

__all__ = ["Box", "Boxes", "Launch", "as_a_box", "as_ordered"]
