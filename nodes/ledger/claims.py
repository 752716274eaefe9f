"""Who checks which node now: sessions, claims, and the short way of a check that changes nothing.

A claim belongs to a database session, known by a number of its own on which it holds an advisory lock: when the
session dies, however it dies, the lock is gone and its claims are free at once.  Each claim raises the row's token, so
a result that answers an older claim changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from nodes.engine.enums import Verdict
from nodes.ledger.pools import Result
from nodes.ledger.rows import Cursor, Row, moment

SESSION_LOCKS = 0x0FA11  # advisory lock class of checking sessions; the second key is the session's number
SLOT_LOCKS = 0x0FA12  # ... of runner slots; the second key is made of host and slot
_LETTER = {v: v.value[0] for v in Verdict}


@dataclass(frozen=True, slots=True)
class Claim:
    """A node to check at `due_at`; `calm` when a plain pass would change no state of it or of its pool."""

    node: int
    pool: int
    token: int
    version: int
    due_at: float
    calm: bool
    failing: bool  # its failure is known
    interval: float
    fast_interval: float
    last_beat_at: float | None
    first_bad_at: float | None


def open_session(connection: psycopg.Connection[Row]) -> int:
    """Number this database session and hold the lock that says it is alive."""
    row = connection.execute("SELECT nextval('nodes_session')::int AS session").fetchone()
    assert row is not None  # a select of one row
    session = int(row["session"])
    connection.execute("SELECT pg_advisory_lock(%s, %s)", (SESSION_LOCKS, session))
    return session


_CLAIM = f"""
WITH alive AS MATERIALIZED (
    SELECT objid::bigint AS session FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {SESSION_LOCKS} AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), due AS MATERIALIZED (
    SELECT s.node_id FROM nodes_nodestate s
    WHERE s.due_at <= now() + make_interval(secs => %(ahead)s) AND s.admin_state <> 'disabled'
      AND (s.owner IS NULL OR s.owner NOT IN (SELECT session FROM alive))
    ORDER BY s.due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE nodes_nodestate s SET token = s.token + 1, owner = %(session)s, version = s.version + 1
FROM due, nodes_poolstate p, nodes_node n, nodes_pool g, nodes_failoverpolicy f, nodes_breakerpolicy b
WHERE s.node_id = due.node_id AND p.pool_id = s.pool_id AND n.id = s.node_id AND g.id = s.pool_id AND f.id = g.failover_policy_id
  AND b.id = g.breaker_policy_id
RETURNING s.node_id, s.pool_id, s.token, s.version, s.due_at, s.last_beat_at, s.first_bad_at,
          coalesce(n.interval, f.interval) AS interval,
          coalesce(n.fast_interval, f.fast_interval, least(2, coalesce(n.interval, f.interval))) AS fast_interval,
          s.failure IS NOT NULL AS failing,
          (NOT p.busy AND s.health = 'healthy' AND s.fails = 0 AND s.first_bad_at IS NULL AND NOT s.stale
           AND s.admin_state = 'enabled' AND s.failure IS NULL AND s.breaker_state = 'closed' AND s.breaker_mode = 'auto'
           AND s.breaker_failures = 0 AND s.ever_able AND b.window_calls IS NULL AND b.window_seconds IS NULL) AS calm,
          (SELECT config_version FROM nodes_fleetstate WHERE id = 1) AS config_version, clock_timestamp() AS database_now
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What one claim brought: the claims, and the version of the configuration they were made under."""

    claims: tuple[Claim, ...]
    config_version: int | None
    database_now: float | None


def claim(cursor: Cursor, session: int, *, ahead: float, limit: int) -> Round:
    """Take up to `limit` nodes that fall due within `ahead` seconds and that no living session holds."""
    cursor.execute(_CLAIM, {"session": session, "ahead": ahead, "limit": limit})
    rows = cursor.fetchall()
    if not rows:
        return Round((), None, None)
    return Round(tuple(_claim(row) for row in rows), rows[0]["config_version"], rows[0]["database_now"].timestamp())


def _claim(row: Row) -> Claim:
    beat, bad = row["last_beat_at"], row["first_bad_at"]
    return Claim(
        node=row["node_id"],
        pool=row["pool_id"],
        token=row["token"],
        version=row["version"],
        due_at=row["due_at"].timestamp(),
        calm=row["calm"],
        failing=row["failing"],
        interval=row["interval"],
        fast_interval=row["fast_interval"],
        last_beat_at=beat and beat.timestamp(),
        first_bad_at=bad and bad.timestamp(),
    )


@dataclass(frozen=True, slots=True)
class CalmPass:
    """A plain pass of a calm node, with the instant at which it is due again."""

    claim: Claim
    started_at: float
    latency: float
    due_at: float


# Rows that anybody else holds are skipped, not waited for: they take the locked way, so no order of locks can deadlock.
_CALM = """
WITH v AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::float8[], %s::timestamptz[])
             AS v(node_id, token, version, started_at, latency, due_at)
), mine AS MATERIALIZED (
    SELECT s.node_id FROM nodes_nodestate s JOIN v ON v.node_id = s.node_id AND v.token = s.token AND v.version = s.version
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE nodes_nodestate s
SET owner = NULL, due_at = v.due_at, checked_at = v.started_at, observed_at = v.started_at, last_verdict = 'pass',
    last_latency = v.latency, last_message = '', recent = right(s.recent || 'p', 40), version = s.version + 1,
    breaker_total = s.breaker_total + 1, breaker_successful = s.breaker_successful + 1
FROM v JOIN mine USING (node_id)
WHERE s.node_id = v.node_id
RETURNING s.node_id
"""


def pass_calmly(cursor: Cursor, batch: Sequence[CalmPass]) -> set[int]:
    """One fenced update for a batch that changes no state; returns the nodes it held for, the others take the locked way."""
    cursor.execute(
        _CALM,
        (
            [b.claim.node for b in batch],
            [b.claim.token for b in batch],
            [b.claim.version for b in batch],
            [moment(b.started_at) for b in batch],
            [b.latency for b in batch],
            [moment(b.due_at) for b in batch],
        ),
        prepare=True,
    )
    return {row["node_id"] for row in cursor.fetchall()}


def store_results(cursor: Cursor, results: Sequence[Result]) -> None:
    """Append check results by binary COPY."""
    with cursor.copy("COPY nodes_checkresult (node_id, at, verdict, latency, message) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "timestamptz", "text", "float4", "text"])  # a "char" is sent as the one byte that it is
        for result in results:
            seen = result.observation
            copy.write_row((result.node, moment(seen.started_at), _LETTER[seen.verdict], seen.latency, seen.message[:200] or None))


_ATTENTION = """
SELECT pool_id FROM nodes_poolstate WHERE wake_at <= now()
UNION
SELECT s.pool_id FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id
JOIN nodes_pool g ON g.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
WHERE NOT s.stale AND s.admin_state <> 'disabled' AND %(sweep_stale)s
  AND coalesce(s.observed_at, n.created_at) < now() - make_interval(secs =>
      2 * coalesce(n.interval, f.interval) +
      coalesce(n.check_timeout, f.check_timeout, least(5, coalesce(n.interval, f.interval) / 2)))
"""


def pools_needing_attention(cursor: Cursor, *, sweep_stale: bool) -> list[int]:
    """Pools in which time alone has something to do: a deadline passed, or a node fell silent."""
    cursor.execute(_ATTENTION, {"sweep_stale": sweep_stale})
    return [row["pool_id"] for row in cursor.fetchall()]


def release(cursor: Cursor, session: int) -> None:
    """Give back what this session claimed and has not answered."""
    cursor.execute("UPDATE nodes_nodestate SET owner = NULL, version = version + 1 WHERE owner = %s", (session,))


def slot_holder(cursor: Cursor, slot: int) -> int | None:
    """The server process that holds a runner slot, if any."""
    cursor.execute(
        """SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        (SLOT_LOCKS, slot),
    )
    row = cursor.fetchone()
    return None if row is None else int(row["pid"])


def beat(cursor: Cursor, node_id: int, now: datetime) -> Any:
    """Note a heartbeat of a push node."""
    return cursor.execute("UPDATE nodes_nodestate SET last_beat_at = %s, version = version + 1 WHERE node_id = %s", (now, node_id))
