"""Reports on their way in: gathered by pool, counted in batches over connections of their own, answered after the commit."""

from nodes.intake.gatherer import Gatherer, Place, close, end, gatherer
from nodes.intake.writer import Unavailable

__all__ = ["Gatherer", "Place", "Unavailable", "close", "end", "gatherer"]
