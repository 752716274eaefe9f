"""Shares over time, made ready to be stacked: cut to the span, few enough to draw, seven layers at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nodes.charts.values import Span

WHOLE = 10_000  # basis points
TINTS = 6
MOST = 400  # segments drawn; more are averaged, since no eye tells them apart
_OTHERS = "{} others"


@dataclass(frozen=True, slots=True)
class Shares:
    """Who carried how much (basis points by node) from `start` to `end`."""

    start: datetime
    end: datetime
    points: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    tint: int  # 1 to 6, in take-over order
    members: tuple[str, ...]  # the nodes in it

    def of(self, points: Mapping[str, int]) -> int:
        return sum(max(0, points.get(name, 0)) for name in self.members)


def layers(order: Sequence[str], segments: Sequence[Shares]) -> tuple[Layer, ...]:
    """One layer per node in take-over order; of more than six, the five that carried most, and the others as one."""
    names = list(dict.fromkeys([*order, *(name for each in segments for name in each.points)]))
    if len(names) <= TINTS:
        return tuple(Layer(name, i + 1, (name,)) for i, name in enumerate(names))
    carried = {name: sum(each.points.get(name, 0) * (each.end - each.start).total_seconds() for each in segments) for name in names}
    most = set(sorted(names, key=lambda name: (-carried[name], names.index(name)))[: TINTS - 1])
    shown = [name for name in names if name in most]
    others = tuple(name for name in names if name not in most)
    return (*(Layer(name, i + 1, (name,)) for i, name in enumerate(shown)), Layer(_OTHERS.format(len(others)), TINTS, others))


def stacked(parts: Sequence[int], height: float) -> tuple[float, ...]:
    """The edges from 0 downwards, one more than parts; more than the whole is scaled to fit, less leaves room below."""
    total = max(WHOLE, sum(parts))
    edges, seen = [0.0], 0
    for part in parts:
        seen += part
        edges.append(round(height * seen / total, 2))
    return tuple(edges)


def fitted(segments: Sequence[Shares], span: Span) -> tuple[Shares, ...]:
    """In order, cut to the span and to the start of the next one, equal neighbours as one, averaged when there are too many."""
    ordered = sorted(segments, key=lambda each: each.start)
    cut = []
    for i, each in enumerate(ordered):
        end = min(each.end, span.end, *(later.start for later in ordered[i + 1 : i + 2]))
        start = max(each.start, span.start)
        if start < end:
            cut.append(replace(each, start=start, end=end))
    merged = _merged(cut)
    return _merged(list(_averaged(merged, span))) if len(merged) > MOST else tuple(merged)


def _merged(segments: Sequence[Shares]) -> tuple[Shares, ...]:
    kept: list[Shares] = []
    for each in segments:
        if kept and kept[-1].end == each.start and kept[-1].points == each.points:
            kept[-1] = replace(kept[-1], end=each.end)
        else:
            kept.append(each)
    return tuple(kept)


def _averaged(segments: Sequence[Shares], span: Span) -> Iterator[Shares]:
    width = span.length / MOST
    first = 0
    for column in range(MOST):
        start, end = span.start + column * width, span.start + (column + 1) * width
        while first < len(segments) and segments[first].end <= start:
            first += 1
        sums: dict[str, float] = {}
        index = first
        while index < len(segments) and segments[index].start < end:
            part = (min(end, segments[index].end) - max(start, segments[index].start)) / width
            for name, points in segments[index].points.items():
                sums[name] = sums.get(name, 0) + points * part
            index += 1
        if sums:
            yield Shares(start, end, {name: round(points) for name, points in sums.items()})


def touches(earlier: Shares, later: Shares) -> bool:
    """Whether one goes on where the other ended."""
    return later.start - earlier.end <= timedelta(microseconds=1)
