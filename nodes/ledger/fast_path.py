"""The fast path: a plain pass that changes no state of its node or pool is written without the pool's lock.

`OPEN` says in SQL when it is open, for a claim; a test holds it to the engine's own answer.  A batch is one statement, fenced by
term number and version.  Rows that anybody else holds are skipped, not waited for: their results take the locked path, so no
order of locks can deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodes.engine.enums import Verdict
from nodes.engine.health import RESULTS
from nodes.ledger.letters import LETTERS
from nodes.ledger.rows import Cursor, moment

# Over the aliases s, a node's state; p, its pool's state; b, its breaker policy.  The result that completes the last 20 may find
# that they alternate; after that a pass can only make a calm node's calmer.
_FULL = 1 << RESULTS
OPEN = f"""(NOT p.busy AND s.health = 'healthy' AND s.fails = 0 AND s.first_bad_at IS NULL AND NOT s.stale
           AND s.admin_state = 'enabled' AND s.failure IS NULL AND s.breaker_state = 'closed' AND s.breaker_mode = 'auto'
           AND s.breaker_failures = 0 AND s.ever_able AND b.window_calls IS NULL AND b.window_seconds IS NULL
           AND (s.results >= {_FULL} OR s.results < {_FULL // 2}))"""


@dataclass(frozen=True, slots=True)
class Pass:
    """A plain pass that answers a claim; the node is due again at `due_at`, which was made of `interval` seconds."""

    node: int
    term_number: int
    version: int
    started_at: float
    latency: float
    due_at: float
    interval: float


_WRITE = f"""
WITH v AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::float8[], %s::timestamptz[], %s::float8[])
             AS v(node_id, token, version, started_at, latency, due_at, interval)
), mine AS MATERIALIZED (
    SELECT s.node_id FROM nodes_nodestate s JOIN v ON v.node_id = s.node_id AND v.token = s.token AND v.version = s.version
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE nodes_nodestate s
SET owner = NULL, due_at = v.due_at, due_interval = v.interval, checked_at = v.started_at, observed_at = v.started_at,
    last_verdict = '{Verdict.PASS}', last_latency = v.latency, last_message = '',
    results = CASE WHEN s.results < {_FULL} THEN s.results << 1 ELSE (s.results << 1) & {_FULL - 1} | {_FULL} END,
    recent = right(s.recent || '{LETTERS[Verdict.PASS]}', 40), version = s.version + 1,
    breaker_total = s.breaker_total + 1, breaker_successful = s.breaker_successful + 1
FROM v JOIN mine USING (node_id)
WHERE s.node_id = v.node_id
RETURNING s.node_id
"""


def write(cursor: Cursor, batch: Sequence[Pass]) -> set[int]:
    """Write a batch of passes; returns the nodes it was written for, the results of the others take the locked path."""
    cursor.execute(
        _WRITE,
        (
            [each.node for each in batch],
            [each.term_number for each in batch],
            [each.version for each in batch],
            [moment(each.started_at) for each in batch],
            [each.latency for each in batch],
            [moment(each.due_at) for each in batch],
            [each.interval for each in batch],
        ),
        prepare=True,
    )
    return {row["node_id"] for row in cursor.fetchall()}
