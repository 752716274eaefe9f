"""Checks nodes: takes a `slot`, works a `term` in it (claims due nodes, asks them, hands the ledger what came back)."""

from nodes.runner.slot import SLOTS, serve

__all__ = ["SLOTS", "serve"]
