"""Heartbeats: a node with a push check calls, and its row remembers when."""

from __future__ import annotations

from nodes.ledger.rows import Cursor


def note_heartbeat(cursor: Cursor, node_id: int) -> None:
    """Write that a push node called just now."""
    cursor.execute(
        "UPDATE nodes_nodestate SET last_beat_at = clock_timestamp(), version = version + 1 WHERE node_id = %s", (node_id,)
    )
