"""Silence of all checks: what a fleet that nobody watches looks like from its rows.  Reads only.

A verdict is a pass, a warning or a fail.  Checks that are asked and come to nothing (a resolver that is gone, secrets that
cannot be read, an `EGRESS_ALLOW` that shrank) are silence as much as checks that nobody asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.ledger.intervals import stale
from nodes.ledger.leases import ALIVE
from nodes.ledger.rows import Cursor

QUIET = 60.0  # s without any verdict


@dataclass(frozen=True, slots=True)
class Silence:
    """How many nodes should be watched, how many are stale, for how long no verdict came, and how that looks."""

    nodes: int
    stale: int
    quiet: float  # s since the newest verdict of any node, or since the newest node is to be watched
    runners: int  # check runners that live
    newest_runner: float | None  # s since the newest of them began its term
    last_message: str  # of the newest check that came to nothing

    @property
    def missing(self) -> bool:
        """Whether nobody watches the fleet, though somebody should."""
        return self.stale > 0 and self.quiet > QUIET

    @property
    def over(self) -> bool:
        """Whether most of it is watched again."""
        return 2 * self.stale < self.nodes or self.nodes == 0

    @property
    def sentence(self) -> str:
        """What is missing and why, as far as the rows know."""
        why = f"the last check said: {self.last_message}" if self.last_message else "the runners ask and get no result"
        if not self.runners:
            why = "no check runner lives"
        return f"No check had a result for {self.quiet:.0f} s, {self.stale} of {self.nodes} nodes are not watched: {why}"


_LOOK = f"""
SELECT count(*) AS nodes, count(*) FILTER (WHERE {stale()}) AS stale,
       coalesce(extract(epoch FROM clock_timestamp() - max(coalesce(s.observed_at, s.health_since))), 0)::float8 AS quiet,
       (SELECT count(*) FROM nodes_lease WHERE kind = 'checks' AND {ALIVE}) AS runners,
       (SELECT extract(epoch FROM clock_timestamp() - max(r.started_at))::float8 FROM nodes_runner r
        JOIN nodes_lease l ON l.kind = r.kind AND l.host = r.host AND l.slot = r.slot AND {ALIVE}
        WHERE r.kind = 'checks') AS newest_runner,
       coalesce((SELECT u.last_message FROM nodes_nodestate u WHERE u.last_verdict = 'unknown' AND u.checked_at IS NOT NULL
                 ORDER BY u.checked_at DESC LIMIT 1), '') AS last_message
FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
WHERE n.removed_at IS NULL AND s.admin_state IN ('enabled', 'draining')
"""


def look_for_silence(cursor: Cursor) -> Silence:
    """How the fleet is watched just now."""
    cursor.execute(_LOOK)
    row = cursor.fetchone()
    assert row is not None  # an aggregate answers
    return Silence(**row)
