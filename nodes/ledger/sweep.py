"""Finds pools in which time alone has something to do, and due times that lie too far ahead.

A pool that cannot be decided is tried again at its own deadline alone: its nodes become stale and cannot be marked so.

Locks the states of nodes whose due time it changes.
"""

from __future__ import annotations

from nodes.ledger.intervals import DOWN_INTERVAL, FAST_INTERVAL, INTERVAL, stale
from nodes.ledger.rows import Cursor

SPARE = 1.0  # s

_ATTENTION = f"""
SELECT p.pool_id FROM nodes_poolstate p JOIN nodes_pool g ON g.id = p.pool_id
WHERE p.wake_at <= now() AND g.removed_at IS NULL
UNION
SELECT s.pool_id FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_poolstate p ON p.pool_id = g.id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
WHERE NOT s.stale AND %(sweep_stale)s AND {stale()} AND p.undecided_since IS NULL AND g.removed_at IS NULL
"""


# A due time lies at most an interval ahead, unless the interval was shortened or the clock was set back since it was made.
_PULL_IN = f"""
UPDATE nodes_nodestate SET due_at = now(), version = version + 1 WHERE node_id IN (
    SELECT s.node_id FROM nodes_nodestate s
    JOIN nodes_node n ON n.id = s.node_id
    JOIN nodes_pool g ON g.id = n.pool_id
    JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
    WHERE s.admin_state <> 'disabled'
      AND s.due_at > now() + make_interval(secs => greatest({INTERVAL}, {FAST_INTERVAL}, {DOWN_INTERVAL}) + {SPARE})
    FOR UPDATE OF s SKIP LOCKED)
"""


def pull_in_due_times(cursor: Cursor) -> int:
    """Make due now what is due too late by today's intervals and clock; returns how many nodes."""
    cursor.execute(_PULL_IN)
    return cursor.rowcount


def pools_needing_attention(cursor: Cursor, *, sweep_stale: bool) -> list[int]:
    """Pools with a deadline that passed or, with `sweep_stale`, with a node that became stale."""
    cursor.execute(_ATTENTION, {"sweep_stale": sweep_stale})
    return [row["pool_id"] for row in cursor.fetchall()]
