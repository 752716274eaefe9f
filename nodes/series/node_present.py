"""How fast the nodes of a pool answer at present: all of them in one query."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from nodes.rollups import merged, quantile
from nodes.rollups.resolutions import MINUTE
from nodes.series.kept import Kept
from nodes.series.present import FRESH, REACH

_LATENCIES = f"""
SELECT r.node_id, {merged("r.histogram")} FROM {MINUTE.table} r JOIN nodes_node n ON n.id = r.node_id
WHERE r.start >= %s AND r.start < %s AND n.pool_id = %s AND n.removed_at IS NULL GROUP BY r.node_id
"""


def read_nodes_p95(pool_id: int, now: datetime) -> dict[int, float]:
    """The p95 in seconds of each node that answered in the last minutes."""
    with connection.cursor() as cursor:
        cursor.execute(_LATENCIES, [now - REACH, now, pool_id])
        found = {node: quantile(histogram or [], 0.95) for node, histogram in cursor.fetchall()}
    return {node: p95 for node, p95 in found.items() if p95 is not None}


_kept: Kept[int, dict[int, float]] = Kept(FRESH, read_nodes_p95)


def nodes_p95(pool_id: int, now: datetime) -> dict[int, float]:
    """As `read_nodes_p95`, read every ten seconds in a process."""
    return _kept(pool_id, now)
