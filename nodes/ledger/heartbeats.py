"""Heartbeats: a node with a push check calls, and its row remembers when."""

from __future__ import annotations

from datetime import datetime

from nodes.ledger.rows import Cursor


def note_heartbeat(cursor: Cursor, node_id: int, now: datetime) -> None:
    """Write a heartbeat of a push node."""
    cursor.execute("UPDATE nodes_nodestate SET last_beat_at = %s, version = version + 1 WHERE node_id = %s", (now, node_id))
