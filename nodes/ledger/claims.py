"""Who checks which node now: claims of nodes that are due.

A claim belongs to a lease, by its term number: when the lease is over, because its owner died, hangs or gave it back, others take
what is due.  Each claim raises the node's own term number, so a result that answers an older claim changes nothing.  Claiming
locks rows of `nodes_nodestate` and skips those that others have locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodes.ledger import fast_path
from nodes.ledger.intervals import FAST_INTERVAL, INTERVAL
from nodes.ledger.leases import ALIVE, RELEASE
from nodes.ledger.rows import Cursor, Row, seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """A node to check at `due_at`, in epoch seconds; with `fast_path` a plain pass would change no state of it or of its pool."""

    node: int
    pool: int
    term_number: int
    version: int
    due_at: float
    fast_path: bool
    failing: bool  # its failure is known
    interval: float
    fast_interval: float
    last_heartbeat_at: float | None
    first_bad_at: float | None
    seen_by: tuple[str, ...] = ()  # the checker on whose word alone the node would be marked; another one is to answer


@dataclass(frozen=True, slots=True)
class ClaimBatch:
    """What one statement claimed, and the version of the configuration that it was claimed under."""

    claims: tuple[Claim, ...]
    config_version: int | None
    database_now: float | None


_CLAIM = f"""
WITH alive AS MATERIALIZED (
    SELECT term_number FROM nodes_lease WHERE {ALIVE}
), fleet AS MATERIALIZED (
    SELECT config_version, believed > 1 AS confirms FROM nodes_fleetstate WHERE id = 1
), due AS MATERIALIZED (
    SELECT s.node_id FROM nodes_nodestate s
    WHERE s.due_at <= now() + make_interval(secs => %(ahead)s) AND s.admin_state <> 'disabled'
      AND (s.owner IS NULL OR s.owner NOT IN (SELECT term_number FROM alive))
      AND (s.confirm_until IS NULL OR s.confirm_until <= now() OR NOT %(host)s = ANY(s.seen_by) OR NOT (SELECT confirms FROM fleet))
    ORDER BY s.due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE nodes_nodestate s SET token = s.token + 1, owner = %(lease)s, version = s.version + 1
FROM due, nodes_poolstate p, nodes_node n, nodes_pool g, nodes_failoverpolicy f, nodes_breakerpolicy b
WHERE s.node_id = due.node_id AND p.pool_id = s.pool_id AND n.id = s.node_id AND g.id = s.pool_id AND f.id = g.failover_policy_id
  AND b.id = g.breaker_policy_id
RETURNING s.node_id, s.pool_id, s.token, s.version, s.due_at, s.last_beat_at, s.first_bad_at,
          {INTERVAL} AS interval, {FAST_INTERVAL} AS fast_interval, s.failure IS NOT NULL AS failing, {fast_path.OPEN} AS fast_path,
          CASE WHEN s.confirm_until IS NOT NULL THEN s.seen_by END AS seen_by,
          (SELECT config_version FROM fleet) AS config_version, clock_timestamp() AS database_now
"""


def claim(cursor: Cursor, lease: int, *, host: str, ahead: float, limit: int) -> ClaimBatch:
    """Take up to `limit` nodes that fall due within `ahead` seconds and that no living lease has claimed.

    A check that another host than `host` is to make, since it confirms what this one saw, is left to it for a while.
    """
    cursor.execute(_CLAIM, {"lease": lease, "host": host, "ahead": ahead, "limit": limit})
    rows = cursor.fetchall()
    if not rows:
        return ClaimBatch((), None, None)
    return ClaimBatch(tuple(_claim(row) for row in rows), rows[0]["config_version"], rows[0]["database_now"].timestamp())


def _claim(row: Row) -> Claim:
    return Claim(
        node=row["node_id"],
        pool=row["pool_id"],
        term_number=row["token"],
        version=row["version"],
        due_at=row["due_at"].timestamp(),
        fast_path=row["fast_path"],
        failing=row["failing"],
        interval=row["interval"],
        fast_interval=row["fast_interval"],
        last_heartbeat_at=seconds(row["last_beat_at"]),
        first_bad_at=seconds(row["first_bad_at"]),
        seen_by=tuple(row["seen_by"] or ()),
    )


def release(cursor: Cursor, lease: int) -> None:
    """Give back all nodes of this lease, due as they are."""
    cursor.execute(RELEASE, (lease,))


def check_again(cursor: Cursor, lease: int, nodes: Sequence[int]) -> None:
    """Give back these nodes of this lease, due again in two seconds."""
    cursor.execute(
        """WITH mine AS MATERIALIZED (
               SELECT node_id FROM nodes_nodestate WHERE node_id = ANY(%s) AND owner = %s ORDER BY node_id FOR UPDATE
           )
           UPDATE nodes_nodestate s SET owner = NULL, due_at = now() + interval '2 seconds', version = version + 1
           FROM mine WHERE s.node_id = mine.node_id""",
        (list(nodes), lease),
    )
