"""What each page shows, read in few queries: frozen values that a template renders and the hub compares.

A screen is cut into fragments.  Fragments with equal subjects render to the same HTML, so nothing is sent for them.
"""

from nodes.screens.dashboard import dashboard
from nodes.screens.events import events
from nodes.screens.fragments import Difference, Fragment, Screen, difference, outermost
from nodes.screens.incident import incident
from nodes.screens.incident_list import incidents
from nodes.screens.node import node, node_cards
from nodes.screens.pool import cards, pool, pool_cards

__all__ = [
    "Difference",
    "Fragment",
    "Screen",
    "cards",
    "dashboard",
    "difference",
    "events",
    "incident",
    "incidents",
    "node",
    "node_cards",
    "outermost",
    "pool",
    "pool_cards",
]
