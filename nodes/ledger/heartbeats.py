"""Heartbeats: nodes with a push check call, and their rows remember when."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from nodes.ledger.rows import Row

Call = tuple[int, str]  # a node's id, and the digest of the secret that it named

# A row that a decision holds is left for the next turn: it is held for milliseconds, and the others need not wait for it.
_NOTE = """
WITH called AS (
    SELECT DISTINCT asked.node_id, asked.digest FROM unnest(%s::bigint[], %s::text[]) AS asked (node_id, digest)
    JOIN nodes_check c ON c.node_id = asked.node_id AND c.kind = 'push' AND c.push_digest <> '' AND c.push_digest = asked.digest
    JOIN nodes_node n ON n.id = c.node_id AND n.removed_at IS NULL
), free AS (
    SELECT s.node_id FROM nodes_nodestate s WHERE s.node_id IN (SELECT node_id FROM called) FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE nodes_nodestate s SET last_beat_at = clock_timestamp(), version = version + 1 FROM free WHERE s.node_id = free.node_id
    RETURNING s.node_id
)
SELECT called.node_id, called.digest, noted.node_id IS NOT NULL AS noted FROM called LEFT JOIN noted USING (node_id)
"""


async def note_heartbeats(connection: psycopg.AsyncConnection[Row], calls: Sequence[Call]) -> dict[Call, bool]:
    """Write that nodes called just now.

    Returns the calls whose secret is the node's, with whether they are written: a row that somebody holds just now is passed over.
    """
    found = await connection.execute(_NOTE, ([node for node, _ in calls], [digest for _, digest in calls]))
    return {(row["node_id"], row["digest"]): row["noted"] for row in await found.fetchall()}
