"""Latency over time: p50, p95 and p99 of the checks that passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nodes.charts import pins as pinned
from nodes.charts import texts
from nodes.charts.axes import time_axis, value_axis
from nodes.charts.frame import ACROSS, across, picture, stretched
from nodes.charts.markup import number, path
from nodes.charts.scale import Linear, latency_ticks, latency_top
from nodes.charts.values import Chart, LegendEntry, Pin, Point, Span, Table

HEIGHT = 170  # px
TOP, PLOT = 18, 130  # px: pins above, then the lines
_HEAD, _AXIS = 8, 164  # px
_FAIL = 6  # px high
_LATE = 1.5  # times the usual distance: so far apart two points have a gap between them


@dataclass(frozen=True, slots=True)
class Latency:
    """One bucket of the roll-ups, seconds; None where nothing passed."""

    at: datetime  # its start
    p50: float | None
    p95: float | None
    p99: float | None
    failed: int = 0  # checks of the bucket that failed


_SERIES: tuple[tuple[str, str, Callable[[Latency], float | None]], ...] = (
    ("l99", "p99", lambda point: point.p99),
    ("l95", "p95", lambda point: point.p95),
    ("l50", "p50", lambda point: point.p50),
)  # drawn in this order: the calm one on top


def latency_lines(
    buckets: Sequence[Latency],
    span: Span,
    *,
    every: timedelta,
    subject: str,
    failed: Sequence[datetime] = (),
    pins: Sequence[Pin] = (),
) -> Chart:
    """170 px high; `every` is the length of a bucket (take one that gives a few hundred), `failed` are further failed checks."""
    shown = tuple(sorted((each for each in buckets if span.holds(each.at)), key=lambda each: each.at))
    fails = sorted(at for at in failed if span.holds(at))
    count, marks = len(fails) + sum(each.failed for each in shown), [*fails, *(each.at for each in shown if each.failed)]
    scale = Linear(
        latency_top(max((v for each in shown for v in (each.p50, each.p95, each.p99) if v is not None), default=None)), PLOT
    )
    moves = pinned.pins_in(pins, span)
    label = _sentence(shown, span, subject, count)
    series = [path(kind, _line(_placed(shown, span, scale, read), every / span.length)) for kind, _, read in _SERIES]
    svg = picture(
        "chart gutter",
        HEIGHT,
        label,
        value_axis(latency_ticks(scale.top), scale, TOP),
        stretched(TOP, PLOT, *series, path("fails", _fails(marks, span))),
        pinned.drawn(moves, span, head=_HEAD, foot=TOP + PLOT, labelled=False),
        time_axis(span, _AXIS),
        points=_points(shown, span, every, fails, moves),
    )
    rows = tuple(
        (texts.full(each.at), *(texts.latency(read(each)) for *_, read in reversed(_SERIES)), str(each.failed)) for each in shown
    )
    return Chart(
        svg, label, Table(("From (UTC)", "p50", "p95", "p99", "Failed"), rows), _legend(shown, count), pinned.notes(moves, span)
    )


def _placed(
    shown: Sequence[Latency], span: Span, scale: Linear, read: Callable[[Latency], float | None]
) -> Iterator[tuple[float, float | None]]:
    for each in shown:
        value = read(each)
        yield span.part(each.at), None if value is None else scale.y(value)


def _line(points: Iterator[tuple[float, float | None]] | Sequence[tuple[float, float | None]], step: float) -> str:
    """A path that never crosses a gap: it starts anew after None, and where points lie further apart than a step."""
    d, before = [], None
    for x, y in points:
        if y is None:
            before = None
            continue
        joins = before is not None and x - before <= step * _LATE
        d.append(f"{'L' if joins else 'M'}{number(across(x))} {number(y)}{'' if joins else 'h0'}")
        before = x
    return "".join(d)


def _fails(failed: Sequence[datetime], span: Span) -> str:
    places = sorted({min(ACROSS - 1, max(1, round(across(span.part(at))))) for at in failed})
    return "".join(f"M{x} {PLOT - _FAIL}v{_FAIL}" for x in places)


def _points(shown: Sequence[Latency], span: Span, every: timedelta, failed: Sequence[datetime], pins: Sequence[Pin]) -> list[Point]:
    """A stop per bucket, and one where a gap begins."""
    points = []
    for i, each in enumerate(shown):
        points.append(_point(each, span, every, failed, pins))
        over = each.at + every
        following = shown[i + 1].at if i + 1 < len(shown) else span.end
        if over < span.end and following - each.at > _LATE * every:
            points.append(Point(span.part(over), texts.iso(over), ("not measured",)))
    return points


def _point(each: Latency, span: Span, every: timedelta, failed: Sequence[datetime], pins: Sequence[Pin]) -> Point:
    until = each.at + every
    fails = each.failed + sum(each.at <= at < until for at in failed)
    lines = [f"{name} {texts.latency(read(each))}" for _, name, read in reversed(_SERIES) if read(each) is not None]
    lines = lines or ["nothing passed"]
    lines += [texts.counted(fails, "failed check")] if fails else []
    lines += [line for pin in pins if each.at <= pin.at < until for line in pinned.lines_of(pin)]
    return Point(span.part(each.at), texts.iso(each.at), tuple(lines))


def _sentence(shown: Sequence[Latency], span: Span, subject: str, failed: int) -> str:
    start = f"Latency of {subject}, {texts.between(span.start, span.end)}"
    last = next((each for each in reversed(shown) if each.p95 is not None), None)
    fails = f"; {texts.counted(failed, 'failed check')}" if failed else ""
    if last is None:
        return f"{start}: nothing measured{fails}."
    worst = texts.latency(max(each.p95 for each in shown if each.p95 is not None))
    return f"{start}: at the end p50 {texts.latency(last.p50)} and p95 {texts.latency(last.p95)}, highest p95 {worst}{fails}."


def _legend(shown: Sequence[Latency], failed: int) -> tuple[LegendEntry, ...]:
    last = next((each for each in reversed(shown) if each.p95 is not None), None)
    lines = tuple(LegendEntry(kind, name, texts.latency(read(last) if last else None)) for kind, name, read in reversed(_SERIES))
    return (*lines, LegendEntry("fails", texts.counted(failed, "failed check").partition(" ")[2], str(failed))) if failed else lines
