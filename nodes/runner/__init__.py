"""Claims due nodes, asks them, hands what was seen to the ledger: `slot` → `term` → `duties`."""

from nodes.runner.slot import SLOTS, serve

__all__ = ["SLOTS", "serve"]
