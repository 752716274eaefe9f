"""Who carried a pool's traffic over a range, and the changes that moved it.

However many changes there were, a bounded number of rows is read: all of them up to `MOST`; of more, the ones in force at as many
even instants, each found by the index.  Every point is true from its instant on; between the points of a range that is not `exact`
there were others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from nodes.engine.enums import ChangeKind, Guard
from nodes.models import Node

MOST = 500  # points; a chart has hardly more pixels to show them in
PINNED = 8  # changes
_SLICES = 48  # of the range that changes to pin are looked for in, so that they lie apart
_OF_SLICE = 3


@dataclass(frozen=True, slots=True)
class Point:
    """From `at` on each of these nodes held so many basis points, the others nothing."""

    at: datetime
    epoch: int
    shares: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class NodeBand:
    """A node that held a share in the range, or is in the pool now."""

    id: int
    name: str
    removed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A change of shares to pin to its instant."""

    failover: int  # id of its decision
    at: datetime
    epoch: int
    kind: str  # a ChangeKind, or one of another version
    actor: str
    node: str  # empty: it was about no single node
    node_id: int | None
    cause: str
    moved: int  # basis points that changed hands
    took: float | None  # seconds from the first step of its record, the first bad check of a failover, until the shares moved
    guards_passed: int
    guards_overridden: tuple[str, ...]  # in words

    @property
    def by_person(self) -> bool:
        return self.actor != "engine"


@dataclass(frozen=True, slots=True)
class SharesOver:
    """The band of a pool: `points` by time, `nodes` in take-over order, the most important `changes` by time."""

    start: datetime
    end: datetime
    points: tuple[Point, ...]
    nodes: tuple[NodeBand, ...]
    changes: tuple[Change, ...]
    exact: bool

    def at(self, instant: datetime) -> Mapping[int, int]:
        """The shares that the band shows at an instant; nothing before its first point."""
        return next((point.shares for point in reversed(self.points) if point.at <= instant), {})


_ALL = """
(SELECT at, epoch, shares FROM nodes_sharepoint WHERE pool_id = %(pool)s AND at <= %(start)s ORDER BY at DESC, id DESC LIMIT 1)
UNION ALL
(SELECT at, epoch, shares FROM nodes_sharepoint
 WHERE pool_id = %(pool)s AND at > %(start)s AND at < %(end)s ORDER BY at, id LIMIT %(most)s + 1)
"""
_SAMPLED = """
SELECT point.at, point.epoch, point.shares
FROM generate_series(0, %(most)s - 1) AS number CROSS JOIN LATERAL (
    SELECT at, epoch, shares FROM nodes_sharepoint
    WHERE pool_id = %(pool)s AND at <= %(start)s + number * (%(end)s::timestamptz - %(start)s) / (%(most)s - 1)
    ORDER BY at DESC, id DESC LIMIT 1
) point ORDER BY number
"""


def shares_over(pool_id: int, start: datetime, end: datetime, *, most: int = MOST) -> SharesOver:
    """The shares of the pool in [start, end), with what to pin to them; three queries, four when there were very many changes."""
    asked = {"pool": pool_id, "start": start, "end": end, "most": most}
    found = _rows(_ALL, asked)
    exact = len(found) <= most
    points = _points(found if exact else _rows(_SAMPLED, asked))
    return SharesOver(start, end, points, _nodes(pool_id, points), _changes(asked), exact)


def _rows(query: str, asked: Mapping[str, Any]) -> dict[datetime, tuple[int, str]]:
    """Epoch and shares by instant: of rows of one instant the last, which was in force; what held at the start begins there."""
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        return {max(at, asked["start"]): (epoch, shares) for at, epoch, shares in cursor.fetchall()}


def _points(rows: Mapping[datetime, tuple[int, str]]) -> tuple[Point, ...]:
    return tuple(
        Point(at, epoch, {int(node): share for node, share in json.loads(shares).items()}) for at, (epoch, shares) in rows.items()
    )


def _nodes(pool_id: int, points: Sequence[Point]) -> tuple[NodeBand, ...]:
    held = {node for point in points for node in point.shares}
    there = Node.objects.filter(Q(pk__in=held) | Q(pool=pool_id, removed_at=None)).order_by("priority", "name", "pk")
    return tuple(NodeBand(pk, name, gone is not None) for pk, name, gone in there.values_list("pk", "name", "removed_at"))


_CHANGES = """
SELECT f.id, f.at, f.epoch, f.kind, f.actor, coalesce(n.name, ''), f.node_id, f.reason, f.shares_before, f.shares_after,
       f.record -> 'steps' -> 0 ->> 'at', f.record -> 'guards'
FROM generate_series(0, %(slices)s - 1) AS number CROSS JOIN LATERAL (
    SELECT * FROM nodes_failover
    WHERE pool_id = %(pool)s AND epoch IS NOT NULL
      AND at >= %(start)s + number * (%(end)s::timestamptz - %(start)s) / %(slices)s
      AND at < %(start)s + (number + 1) * (%(end)s::timestamptz - %(start)s) / %(slices)s
    ORDER BY at DESC LIMIT %(of_slice)s
) f LEFT JOIN nodes_node n ON n.id = f.node_id
"""
_IMPORTANCE = (ChangeKind.FAILOVER, ChangeKind.MANUAL, ChangeKind.FAILBACK, ChangeKind.RECOVERY, ChangeKind.REBALANCE)


def _changes(asked: Mapping[str, Any]) -> tuple[Change, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_CHANGES, {**asked, "slices": _SLICES, "of_slice": _OF_SLICE})
        found = [_change(row) for row in cursor.fetchall()]
    return tuple(sorted(sorted(found, key=_weight)[:PINNED], key=lambda change: (change.at, change.epoch)))


def _weight(change: Change) -> tuple[int, int, float]:
    """By kind, then by how much it moved, then the latest first."""
    kind = next((rank for rank, kind in enumerate(_IMPORTANCE) if kind == change.kind), len(_IMPORTANCE))
    return kind, -change.moved, -change.at.timestamp()


def _change(row: Sequence[Any]) -> Change:
    failover, at, epoch, kind, actor, node, node_id, reason, before, after, first, guards = row
    passed, overridden = _answers(json.loads(guards or "[]"))
    return Change(
        failover, at, epoch, kind, actor, node, node_id, reason, _moved(json.loads(before), json.loads(after)),
        max(0.0, at.timestamp() - float(first)) if first else None, passed, overridden,
    )  # fmt: skip  # what belongs together stays on a line


def _moved(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    lost = sum(max(0, share - after.get(node, 0)) for node, share in before.items())
    return max(lost, sum(max(0, share - before.get(node, 0)) for node, share in after.items()))


def _answers(guards: Sequence[Mapping[str, Any]]) -> tuple[int, tuple[str, ...]]:
    overridden = tuple(_words(each["guard"]) for each in guards if each.get("overridden"))
    return sum(not each["holds"] for each in guards), overridden


def _words(guard: str) -> str:
    return Guard(guard).words if guard in set(Guard) else guard
