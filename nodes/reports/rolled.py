"""Queries on the roll-ups: how many checks a range holds, how fast they were answered, and when there was no result at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from nodes.reports.spans import Span
from nodes.rollups import BUCKETS, merged
from nodes.rollups.resolutions import DAY, HOUR, MINUTE, Resolution, floor, progress
from nodes.rollups.retention import HOURS, MINUTES

_MINUTES_UPTO = timedelta(days=1)  # of a range that is searched for silence minute by minute
_HOURS_UPTO = timedelta(days=100)


@dataclass
class CheckCounts:
    """The checks of one node, or of several, and how fast they were answered."""

    checks: int = 0
    unknowns: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, other: CheckCounts) -> None:
        self.checks += other.checks
        self.unknowns += other.unknowns
        self.histogram = [a + b for a, b in zip(self.histogram, other.histogram, strict=True)]


def check_counts(nodes: Collection[int], start: datetime, end: datetime) -> dict[int, CheckCounts]:
    """The checks of each node whose minute lies in [start, end); nodes without any are left out."""
    parts = pieces(start, end, (DAY, HOUR, MINUTE), progress())
    sources = " UNION ALL ".join(
        f"SELECT node_id, passes, warns, fails, unknowns, histogram FROM {resolution.table} "
        f"WHERE start >= %s AND start < %s AND node_id = ANY(%s)"
        for resolution, _, _ in parts
    )
    if not sources:
        return {}
    values: list[Any] = []
    for _, begin, stop in parts:
        values += [begin, stop, list(nodes)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT node_id, sum(passes + warns + fails + unknowns), sum(unknowns), {merged()} "
            f"FROM ({sources}) AS r GROUP BY node_id",
            values,
        )
        return {
            node: CheckCounts(checks, unknowns, [count or 0 for count in histogram])
            for node, checks, unknowns, histogram in cursor.fetchall()
        }


def pieces(
    start: datetime, end: datetime, resolutions: Sequence[Resolution], done: Mapping[str, datetime]
) -> list[tuple[Resolution, datetime, datetime]]:
    """The range cut into whole rows, the coarsest in the middle and ever finer ones towards both ends.

    `done` says up to which instant each resolution, by its name, is counted.
    """
    if start >= end:
        return []
    resolution, *finer = resolutions
    if not finer:
        return [(resolution, start, end)]
    first = floor(start - timedelta(microseconds=1), resolution.length) + resolution.length
    last = floor(min(end, done[resolution.name]), resolution.length)
    if first >= last:
        return pieces(start, end, finer, done)
    return [*pieces(start, first, finer, done), (resolution, first, last), *pieces(last, end, finer, done)]


_GAPS = """
WITH asked AS (SELECT * FROM unnest(%(nodes)s::bigint[], %(patience)s::float8[]) AS a(node_id, patience)),
ranges AS (SELECT * FROM unnest(%(numbers)s::int[], %(begins)s::timestamptz[], %(stops)s::timestamptz[]) AS r(number, begin, stop)),
seen AS (
    SELECT number, node_id, start, start + %(length)s AS ends
    FROM {table} JOIN asked USING (node_id) JOIN ranges ON start >= ranges.begin AND start < ranges.stop
    WHERE start >= %(first)s AND start < %(last)s AND passes + warns + fails > 0
    UNION ALL SELECT number, node_id, stop, stop FROM asked, ranges
), gaps AS (
    SELECT number, node_id, lag(ends, 1, ranges.begin) OVER (PARTITION BY number, node_id ORDER BY start) AS begin, start AS stop
    FROM seen JOIN ranges USING (number)
)
SELECT number, node_id, begin, stop FROM gaps JOIN asked USING (node_id) WHERE stop - begin > make_interval(secs => patience)
"""


def silences(patience: Mapping[int, float], start: datetime, end: datetime, *, now: datetime) -> dict[int, list[Span]]:
    """When each node had no check that passed, warned or failed for longer than its patience, in seconds.

    To the minute, hour or day, by the length of the range and by what is still kept; what is not rolled up yet is no silence.
    """
    return silences_in(patience, [(start, end)], now=now)[0]


def silences_in(
    patience: Mapping[int, float], ranges: Sequence[tuple[datetime, datetime]], *, now: datetime
) -> list[dict[int, list[Span]]]:
    """The same for each of several ranges, in a query for each resolution and one more."""
    done = progress()
    found: list[dict[int, list[Span]]] = [defaultdict(list) for _ in ranges]
    asked: dict[Resolution, list[tuple[int, datetime, datetime]]] = defaultdict(list)
    for number, (start, end) in enumerate(ranges):
        resolution = _resolution(start, end, now)
        begin, stop = floor(start, resolution.length), min(end, done[resolution.name])
        if begin < stop:
            asked[resolution].append((number, begin, stop))
    for resolution, parts in asked.items():
        for number, node, since, until in _gaps(patience, resolution, parts):
            found[number][node].append((since.timestamp(), until.timestamp()))
    return found


def _gaps(
    patience: Mapping[int, float], resolution: Resolution, parts: Sequence[tuple[int, datetime, datetime]]
) -> list[tuple[int, int, datetime, datetime]]:
    numbers, begins, stops = zip(*parts, strict=True)
    values: dict[str, Any] = {
        "nodes": list(patience), "patience": list(patience.values()), "length": resolution.length, "numbers": list(numbers),
        "begins": list(begins), "stops": list(stops), "first": min(begins), "last": max(stops),
    }  # fmt: skip  # what belongs together stays on a line
    with connection.cursor() as cursor:
        cursor.execute(_GAPS.format(table=resolution.table), values)
        return list(cursor.fetchall())


def _resolution(start: datetime, end: datetime, now: datetime) -> Resolution:
    if end - start <= _MINUTES_UPTO and start >= now - MINUTES.keep:
        return MINUTE
    return HOUR if end - start <= _HOURS_UPTO and start >= now - HOURS.keep else DAY
