"""What each page shows, read in few queries: frozen values that a template renders and the hub compares.

A screen is cut into fragments.  Fragments with equal subjects render to the same HTML, so nothing is sent for them.
"""

from nodes.screens.dashboard import dashboard
from nodes.screens.fragments import Difference, Fragment, Screen, difference, outermost
from nodes.screens.incident import incident
from nodes.screens.node import node
from nodes.screens.pool import pool

__all__ = ["Difference", "Fragment", "Screen", "dashboard", "difference", "incident", "node", "outermost", "pool"]
