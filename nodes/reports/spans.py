"""Arithmetic of half-open spans of time [start, end), in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Span = tuple[float, float]


class Parts(NamedTuple):
    """A life divided without rest or overlap: excluded, unmonitored, measured; down is a part of what is measured."""

    excluded: list[Span]
    unmonitored: list[Span]
    measured: list[Span]
    down: list[Span]


def divide(life: Iterable[Span], *, excluded: Iterable[Span], failing: Iterable[Span], silent: Iterable[Span]) -> Parts:
    """Each moment of the life is excluded, or down, or unmonitored, or up: the first of these that it can be."""
    lived = union(life)
    left_out = intersection(union(excluded), lived)
    rest = subtract(lived, left_out)
    down = intersection(union(failing), rest)
    unmonitored = subtract(intersection(union(silent), rest), down)
    return Parts(left_out, unmonitored, subtract(rest, unmonitored), down)


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time without overlaps, in order; empty spans are dropped."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def intersection(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    """The time that is in both; both must be unions."""
    found: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            found.append((start, end))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return found


def subtract(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    """The time of `left` that is not in `right`; both must be unions."""
    found: list[Span] = []
    for start, end in left:
        begin = start
        for hole_start, hole_end in right:
            if hole_end <= begin or hole_start >= end:
                continue
            if begin < hole_start:
                found.append((begin, hole_start))
            begin = max(begin, hole_end)
        if begin < end:
            found.append((begin, end))
    return found


def length(spans: Iterable[Span]) -> float:
    """Seconds in all."""
    return sum(end - start for start, end in spans)
