"""The checks of all nodes with their policies, read whole whenever the configuration changed."""

from __future__ import annotations

from collections import defaultdict

from nodes.ledger.rows import HEALTH_POLICY_FIELDS, Cursor, Row

_POLICIES = ", ".join(f"n.{name} AS node_{name}, f.{name} AS pool_{name}" for name in HEALTH_POLICY_FIELDS)
_CHECKS = f"""
SELECT c.*, n.address, n.port AS node_port, s.last_message, {_POLICIES}
FROM nodes_check c
JOIN nodes_node n ON n.id = c.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
LEFT JOIN nodes_nodestate s ON s.node_id = n.id
WHERE n.removed_at IS NULL AND (%(node)s::bigint IS NULL OR n.id = %(node)s)
ORDER BY c.node_id, c.id
"""


def read_checks(cursor: Cursor, node: int | None = None) -> dict[int, list[Row]]:
    """Node id -> the rows of its checks, oldest first, each with the node's last message; headers as they are stored.

    Of all nodes, or of one.
    """
    cursor.execute(_CHECKS, {"node": node})
    checks: dict[int, list[Row]] = defaultdict(list)
    for row in cursor.fetchall():
        checks[row["node_id"]].append(row)
    return checks
