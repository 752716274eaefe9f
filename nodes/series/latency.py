"""How fast the checks were answered over a range, and how many failed, from the roll-ups' histograms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from nodes.reports.rolled import CheckCounts, pieces
from nodes.rollups import merged, quantile
from nodes.rollups.resolutions import DAY, HOUR, MINUTE, Resolution, floor, progress


@dataclass(frozen=True, slots=True)
class LatencyBucket:
    """The checks whose rows begin in the bucket; percentiles in seconds, None where nothing was answered."""

    start: datetime
    p50: float | None
    p95: float | None
    p99: float | None
    checks: int
    failed: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Every bucket of the range, empty ones too, and all of it in one: the figures that a report prints for it."""

    whole: LatencyBucket
    buckets: tuple[LatencyBucket, ...]


def latency_over(nodes: Collection[int], start: datetime, end: datetime, buckets: int) -> Latency:
    """The answers of these nodes together in [start, end); two queries.

    Days and hours serve where the edges of the buckets are theirs, as those of `Range.window` are; else minutes, kept for 30 days.
    """
    length = (end - start) / buckets
    resolutions = [each for each in (DAY, HOUR) if buckets == 1 or _fits(each, start, length)]
    counts = [(CheckCounts(), 0) for _ in range(buckets)]
    parts = pieces(start, end, (*resolutions, MINUTE), progress())
    for number, checks, fails in _read(nodes, parts, start, length) if nodes else ():
        counts[min(number, buckets - 1)] = checks, fails
    whole = CheckCounts()
    for checks, _ in counts:
        whole.add(checks)
    cells = tuple(_bucket(start + number * length, checks, fails) for number, (checks, fails) in enumerate(counts))
    return Latency(_bucket(start, whole, sum(fails for _, fails in counts)), cells)


def _fits(resolution: Resolution, start: datetime, length: timedelta) -> bool:
    return not length % resolution.length and floor(start, resolution.length) == start


def _bucket(start: datetime, counts: CheckCounts, failed: int) -> LatencyBucket:
    p50, p95, p99 = (quantile(counts.histogram, part) for part in (0.5, 0.95, 0.99))
    return LatencyBucket(start, p50, p95, p99, counts.checks, failed)


def _read(
    nodes: Collection[int], parts: Collection[tuple[Resolution, datetime, datetime]], start: datetime, length: timedelta
) -> list[tuple[int, CheckCounts, int]]:
    """Number of each bucket that has a row, its checks, and how many of them failed."""
    source = (
        "SELECT (extract(epoch FROM start - %s) / %s)::float8 AS place, passes + warns + fails + unknowns AS checks, unknowns,"
        " fails, histogram FROM {table} WHERE start >= %s AND start < %s AND node_id = ANY(%s)"
    )
    values: list[Any] = []
    for _, begin, stop in parts:
        values += [start, length.total_seconds(), begin, stop, list(nodes)]
    sources = " UNION ALL ".join(source.format(table=resolution.table) for resolution, _, _ in parts)
    if not sources:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT floor(place)::int, sum(checks), sum(unknowns), sum(fails), {merged()} FROM ({sources}) r GROUP BY 1", values
        )
        return [
            (number, CheckCounts(checks, unknowns, [count or 0 for count in histogram]), fails)
            for number, checks, unknowns, fails, histogram in cursor.fetchall()
        ]
