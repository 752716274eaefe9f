"""How each pool does at present, beyond its state: all pools in one query."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from nodes.engine.enums import AdminState, ChangeKind, Verdict
from nodes.ledger.letters import LETTERS
from nodes.rollups import merged, quantile
from nodes.rollups.resolutions import MINUTE
from nodes.series.kept import Kept

FRESH = timedelta(seconds=10)
REACH = timedelta(minutes=7)  # of the minutes that make the p95; about the last two of them are not rolled up yet


@dataclass(frozen=True, slots=True)
class PoolPresent:
    """Figures of a pool; None where there is nothing to count.

    `errors`: the failed ones of each node's last 40 checks, weighted by its share: the part of the traffic that meets them; while
    nobody holds a share the part of all of them.  `switched_at`: when shares last moved but to bring them to their weights.
    """

    p95: float | None  # seconds
    errors: float | None
    switched_at: datetime | None


_FAILED = f"length(s.recent) - length(replace(s.recent, '{LETTERS[Verdict.FAIL]}', ''))"
_JUDGED = f"length(replace(s.recent, '{LETTERS[Verdict.UNKNOWN]}', ''))"
_PRESENT = f"""
WITH answered AS (
    SELECT n.pool_id, {merged("r.histogram")} AS histogram
    FROM {MINUTE.table} r JOIN nodes_node n ON n.id = r.node_id
    WHERE r.start >= %(begin)s AND r.start < %(end)s AND n.pool_id = ANY(%(pools)s) AND n.removed_at IS NULL
    GROUP BY n.pool_id
), failed AS (
    SELECT n.pool_id, sum(s.share * ({_FAILED})::float8 / nullif({_JUDGED}, 0)) FILTER (WHERE s.share > 0)
             / nullif(sum(s.share) FILTER (WHERE {_JUDGED} > 0), 0) AS met,
           sum({_FAILED})::float8 / nullif(sum({_JUDGED}), 0) AS of_all
    FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id
    WHERE n.pool_id = ANY(%(pools)s) AND n.removed_at IS NULL AND s.admin_state <> '{AdminState.DISABLED}'
    GROUP BY n.pool_id
)
SELECT pool, a.histogram, coalesce(f.met, f.of_all), switch.at
FROM unnest(%(pools)s::bigint[]) AS pool
LEFT JOIN answered a ON a.pool_id = pool
LEFT JOIN failed f ON f.pool_id = pool
LEFT JOIN LATERAL (
    SELECT at FROM nodes_failover WHERE pool_id = pool AND epoch IS NOT NULL AND kind <> '{ChangeKind.REBALANCE}'
    ORDER BY at DESC LIMIT 1
) switch ON true
"""


def read_pools_now(pool_ids: Collection[int], now: datetime) -> dict[int, PoolPresent]:
    """The present of each pool."""
    with connection.cursor() as cursor:
        cursor.execute(_PRESENT, {"pools": list(pool_ids), "begin": now - REACH, "end": now})
        return {
            pool: PoolPresent(quantile(histogram or [], 0.95), errors, switched_at)
            for pool, histogram, errors, switched_at in cursor.fetchall()
        }


_kept: Kept[tuple[int, ...], dict[int, PoolPresent]] = Kept(FRESH, read_pools_now)


def pools_now(pool_ids: Iterable[int], now: datetime) -> dict[int, PoolPresent]:
    """As `read_pools_now`, read every ten seconds in a process."""
    return _kept(tuple(sorted(pool_ids)), now)
