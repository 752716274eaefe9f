"""The availability of each pool day by day, out of the time that a report has divided; no query of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from nodes.reports.figures import Report
from nodes.reports.spans import Span

_DAYS = 100  # a longer range has a week in each cell


@dataclass(frozen=True, slots=True)
class PoolDays:
    """One pool: availability of each cell, None where nothing was measured, and of the whole range."""

    pool: str
    cells: tuple[float | None, ...]
    whole: float | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days in UTC by which cells begin, each so many days long; worst pool first."""

    days: tuple[date, ...]
    length: int
    pools: tuple[PoolDays, ...]


def calendar(report: Report) -> Calendar:
    """The range of the report in days, or in weeks when it is long; the first and the last cell may be cut."""
    first, last = report.start.astimezone(UTC).date(), (report.end - timedelta(microseconds=1)).astimezone(UTC).date()
    length = 1 if (last - first).days < _DAYS else 7
    days = [first + timedelta(days=number) for number in range(0, (last - first).days + 1, length)]
    edges = [_midnight(day) for day in (*days, days[-1] + timedelta(days=length))]
    pools = []
    for row in report.pools:
        parts = report.time[row.pool]
        cells = [
            None if not measured else 1 - down / measured
            for measured, down in zip(_seconds(parts.measured, edges), _seconds(parts.down, edges), strict=True)
        ]
        pools.append(PoolDays(row.pool, tuple(cells), row.availability))
    pools.sort(key=lambda each: (each.whole is None, each.whole or 0.0))
    return Calendar(tuple(days), length, tuple(pools))


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _seconds(spans: Sequence[Span], edges: Sequence[float]) -> list[float]:
    """How much of the spans, which are in order and apart, lies between each two edges."""
    found, at = [], 0
    for begin, stop in pairwise(edges):
        while at < len(spans) and spans[at][1] <= begin:
            at += 1
        inside, look = 0.0, at
        while look < len(spans) and spans[look][0] < stop:
            inside += min(spans[look][1], stop) - max(spans[look][0], begin)
            look += 1
        found.append(inside)
    return found
