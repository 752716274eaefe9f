"""Finds the pools in which time alone has something to do.  Reads only."""

from __future__ import annotations

from nodes.ledger.intervals import stale
from nodes.ledger.rows import Cursor

_ATTENTION = f"""
SELECT pool_id FROM nodes_poolstate WHERE wake_at <= now()
UNION
SELECT s.pool_id FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
WHERE NOT s.stale AND %(sweep_stale)s AND {stale()}
"""


def pools_needing_attention(cursor: Cursor, *, sweep_stale: bool) -> list[int]:
    """Pools with a deadline that passed or, with `sweep_stale`, with a node that became stale."""
    cursor.execute(_ATTENTION, {"sweep_stale": sweep_stale})
    return [row["pool_id"] for row in cursor.fetchall()]
