"""What each page shows, read in few queries: frozen values that a template renders and the hub compares.

A screen is cut into pieces.  Two pieces with equal subjects look the same, so nothing needs to be sent for them.
"""

from nodes.screens.dashboard import dashboard
from nodes.screens.incident import incident
from nodes.screens.node import node
from nodes.screens.pieces import Difference, Piece, Screen, difference, everything
from nodes.screens.pool import pool

__all__ = ["Difference", "Piece", "Screen", "dashboard", "difference", "everything", "incident", "node", "pool"]
