"""Availability over a range, by the rule that the reports print (`nodes.reports.times`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from nodes.models import Node, Pool
from nodes.reports import LONGEST, times
from nodes.reports.rolled import silences_in
from nodes.reports.spans import Parts, Span, intersection, length
from nodes.series.ranges import Range

UPTIMES = (Range.DAY, Range.WEEK, Range.MONTH, Range.QUARTER)

_Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Spell:
    """A bucket, or all of a range, up to the present; times in seconds, `availability` None where nothing was measured."""

    start: datetime
    availability: float | None
    downtime: float
    measured: float
    excluded: float
    unmonitored: float


@dataclass(frozen=True, slots=True)
class Availability:
    """Every bucket of the range, those after the present too, and all of it in one."""

    whole: Spell
    buckets: tuple[Spell, ...]


def availability_over(whose: Node | Pool, start: datetime, end: datetime, buckets: int, *, now: datetime) -> Availability:
    """How available the node or pool was in [start, end), cut to the present and to 400 days; five queries."""
    first, last = max(start, min(end, now) - LONGEST), min(end, now)
    parts = _divided(whose, [(first, last)], now)[0]
    edges = [start + (end - start) * number / buckets for number in range(buckets + 1)]
    return Availability(_spell(parts, first, last), tuple(_spell(parts, begin, stop) for begin, stop in pairwise(edges)))


def uptime(whose: Node | Pool, now: datetime) -> dict[Range, float | None]:
    """The availability over each of `UPTIMES` up to the present, None where nothing was measured; six queries."""
    ranges = [(now - each.length, now) for each in UPTIMES]
    found = _divided(whose, ranges, now)
    return {each: _spell(parts, start, end).availability for each, parts, (start, end) in zip(UPTIMES, found, ranges, strict=True)}


def _divided(whose: Node | Pool, ranges: Sequence[_Stretch], now: datetime) -> list[Parts]:
    """The time of the node or pool in each range; a pool's with all the nodes that it had there."""
    start, end = min(begin for begin, _ in ranges), max(stop for _, stop in ranges)
    there = times.existing(start, end)
    nodes = list(there.filter(pk=whose.pk) if isinstance(whose, Node) else there.filter(pool=whose))
    ids = [node.pk for node in nodes]
    failing: dict[int, list[Span]] = defaultdict(list)
    for failure in times.failures_in(ids, start, end):
        failing[failure.node_id].append(times.failing(failure, start, end))
    excluded = times.excluded_time(ids, start, end)
    silent = silences_in({node.pk: times.patience(node) for node in nodes}, ranges, now=now)
    return [
        _together(whose, times.divided(nodes, *each, failing=failing, excluded=excluded, silent=unseen))
        for each, unseen in zip(ranges, silent, strict=True)
    ]


def _together(whose: Node | Pool, parts: Mapping[int, Parts]) -> Parts:
    return parts.get(whose.pk, Parts([], [], [], [])) if isinstance(whose, Node) else times.of_pool(list(parts.values()))


def _spell(parts: Parts, start: datetime, end: datetime) -> Spell:
    span = [(start.timestamp(), end.timestamp())]
    excluded, unmonitored, measured, down = (length(intersection(each, span)) for each in parts)
    return Spell(start, 1 - down / measured if measured else None, down, measured, excluded, unmonitored)
