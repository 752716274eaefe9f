"""What to ask of each node, loaded whole whenever the configuration changed."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

from nodes.engine.health import effective_timeout
from nodes.ledger.rows import HEALTH_POLICY_FIELDS, Cursor, health_policy
from nodes.models.encrypted import EncryptedTextUnreadableError, decrypt
from nodes.probes.spec import CheckSpec

_log = logging.getLogger(__name__)

_POLICIES = ", ".join(f"n.{name} AS node_{name}, f.{name} AS pool_{name}" for name in HEALTH_POLICY_FIELDS)
_SPECS = f"""
SELECT c.*, n.address, n.port AS node_port, n.created_at, {_POLICIES}
FROM nodes_check c
JOIN nodes_node n ON n.id = c.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
WHERE n.removed_at IS NULL
ORDER BY c.node_id, c.id
"""


def load(cursor: Cursor) -> dict[int, CheckSpec]:
    """Node id -> its check; a node whose check cannot be read (a secret without its key) is left out and logged."""
    cursor.execute(_SPECS)
    by_node: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in cursor.fetchall():
        by_node[row["node_id"]].append(row)
    specs: dict[int, CheckSpec] = {}
    for node, checks in by_node.items():
        try:
            specs[node] = _root(checks)
        except EncryptedTextUnreadableError as error:
            _log.error("node %s cannot be checked: %s", node, error)
    return specs


def _root(checks: list[dict[str, Any]]) -> CheckSpec:
    """The node's one check, or its composite with the other checks as children."""
    composite = next((row for row in checks if row["kind"] == "composite"), None)
    if composite is None:
        return _spec(checks[0], ())
    return _spec(composite, tuple(_spec(row, ()) for row in checks if row is not composite))


def _spec(row: dict[str, Any], children: tuple[CheckSpec, ...]) -> CheckSpec:
    policy = health_policy(row)
    return CheckSpec(
        kind=row["kind"],
        host=row["address"],
        port=row["port"] or row["node_port"],
        timeout=effective_timeout(policy),
        degraded_latency=policy.degraded_latency,
        tls=row["use_tls"],
        method=row["method"],
        path=row["path"],
        headers=parse_headers(decrypt(row["headers"])),
        body=row["body"].encode(),
        expected_status=row["expected_status"],
        body_contains=row["body_contains"],
        follow_redirects=row["follow_redirects"],
        verify_tls=row["verify_tls"],
        server_name=row["server_name"],
        certificate_days=row["certificate_days"],
        interval=policy.interval,
        grace=row["grace"],
        quorum=row["quorum"],
        children=children,
    )


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """`Name: value` lines as pairs; lines without a colon are left out (the form refuses them)."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return tuple((name.strip(), value.strip()) for name, value in pairs)
