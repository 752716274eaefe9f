"""How each pool was in each quarter of an hour of the last 24 hours, for the strips of the dashboard: all pools in four queries.

A cell shows the worst that happened in it.  Down, failing and excluded time are those of the reports; a cell without data is one in
which no check of any node of the pool passed, warned or failed, as far as the minutes are rolled up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection

from nodes.engine.enums import AdminState
from nodes.models import Node
from nodes.reports import times
from nodes.reports.spans import Parts, Span, union
from nodes.rollups.resolutions import MINUTE
from nodes.series.kept import Kept
from nodes.series.ranges import Range

FRESH = timedelta(seconds=60)  # for how long a strip is kept
_LATE = timedelta(minutes=4)  # by which the minutes of the present may not be rolled up yet


class CellState(StrEnum):
    """The state of a pool in a cell, worst first."""

    DOWN = "down"  # all its measured nodes were down together
    DEGRADED = "degraded"  # a measured node was down
    MAINTENANCE = "maintenance"  # a node was in maintenance
    NO_DATA = "no data"
    HEALTHY = "healthy"


Cells = tuple[CellState, ...]


def read_states_24h(pool_ids: Collection[int], now: datetime) -> dict[int, Cells]:
    """The 96 cells of each pool, the oldest first; the last one holds the present."""
    start, _, _ = Range.DAY.window(now)
    by_pool: dict[int, list[Node]] = defaultdict(list)
    nodes = Node.objects.filter(pool__in=pool_ids, created_at__lt=now).exclude(removed_at__lte=start)
    for node in nodes.only("pk", "pool_id", "created_at", "removed_at"):
        by_pool[node.pool_id].append(node)
    ids = [node.pk for members in by_pool.values() for node in members]
    failing: dict[int, list[Span]] = defaultdict(list)
    for failure in times.failures_in(ids, start, now):
        failing[failure.node_id].append(times.failing(failure, start, now))
    states = times.admin_states(ids, start, now)
    unseen = _unseen(list(pool_ids), start, now)
    strips = {}
    for pool in pool_ids:
        members = [node for node in by_pool[pool] if node.pk in failing or node.pk in states]
        known = _known(members, by_pool[pool], failing, states, start, now) if members else {}
        strips[pool] = _cells(known, unseen.get(pool, frozenset()), start)
    return strips


def _known(
    marked: Sequence[Node],
    members: Sequence[Node],
    failing: Mapping[int, Sequence[Span]],
    states: Mapping[int, Sequence[tuple[str, Span]]],
    start: datetime,
    now: datetime,
) -> dict[CellState, list[Span]]:
    """When the pool was down, degraded or in maintenance."""
    excluded = {node: [span for state, span in found if state in times.EXCLUDED] for node, found in states.items()}
    parts = times.divided(members, start, now, failing=failing, excluded=excluded, silent={})
    return {
        CellState.DOWN: times.of_pool(list(parts.values())).down,
        CellState.DEGRADED: union(span for node in marked for span in parts[node.pk].down),
        CellState.MAINTENANCE: _in_maintenance(parts, states),
    }


def _in_maintenance(parts: Mapping[int, Parts], states: Mapping[int, Sequence[tuple[str, Span]]]) -> list[Span]:
    return union(span for node in parts for state, span in states.get(node, ()) if state == AdminState.MAINTENANCE)


def _cells(known: Mapping[CellState, Iterable[Span]], unseen: Collection[int], start: datetime) -> Cells:
    cells = [CellState.NO_DATA if number in unseen else CellState.HEALTHY for number in range(Range.DAY.length // Range.DAY.bucket)]
    length, begin = Range.DAY.bucket.total_seconds(), start.timestamp()
    for state in (CellState.MAINTENANCE, CellState.DEGRADED, CellState.DOWN):
        for since, until in known.get(state, ()):
            first, after = int((since - begin) // length), -int(-(until - begin) // length)
            cells[first:after] = [state] * (after - first)
    return tuple(cells)


_UNSEEN = f"""
SELECT pool, number FROM unnest(%(pools)s::bigint[]) AS pool CROSS JOIN generate_series(0, %(cells)s - 1) AS number
CROSS JOIN LATERAL (SELECT %(start)s + number * %(length)s::interval AS begin) cell
WHERE cell.begin <= %(now)s AND NOT EXISTS (
    SELECT FROM nodes_node n CROSS JOIN LATERAL (
        SELECT FROM {MINUTE.table} r WHERE r.node_id = n.id AND r.start >= cell.begin AND r.start < cell.begin + %(length)s
        AND r.passes + r.warns + r.fails > 0 LIMIT 1
    ) seen WHERE n.pool_id = pool
) AND NOT EXISTS (
    SELECT FROM nodes_node n JOIN nodes_nodestate s ON s.node_id = n.id
    WHERE n.pool_id = pool AND cell.begin + %(length)s > %(now)s - %(late)s::interval
      AND s.observed_at >= least(cell.begin, %(now)s - %(late)s::interval) AND n.created_at < cell.begin + %(length)s
)
"""


def _unseen(pools: Sequence[int], start: datetime, now: datetime) -> dict[int, set[int]]:
    """The cells of each pool in which no check had a result."""
    cells = Range.DAY.length // Range.DAY.bucket
    asked: dict[str, Any] = {
        "pools": list(pools),
        "cells": cells,
        "start": start,
        "length": Range.DAY.bucket,
        "now": now,
        "late": _LATE,
    }
    found: dict[int, set[int]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(_UNSEEN, asked)
        for pool, number in cursor.fetchall():
            found[pool].add(number)
    return found


_kept: Kept[tuple[int, ...], dict[int, Cells]] = Kept(FRESH, read_states_24h)


def states_24h(pool_ids: Iterable[int], now: datetime) -> dict[int, Cells]:
    """As `read_states_24h`, read once a minute in a process."""
    return _kept(tuple(sorted(pool_ids)), now)
