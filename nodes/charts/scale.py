"""Scales and their ticks: round, ascending, and inside what is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nodes.charts import texts
from nodes.charts.values import Span

_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3600, 86_400
_STEPS = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14)),
)  # seconds
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12_000)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # weeks begin on a Monday
_LEAST_TOP = 0.01  # s; below 10 ms a chart shows noise


@dataclass(frozen=True, slots=True)
class Tick:
    at: datetime
    x: float  # 0 to 1
    text: str
    form: str  # minute, clock, day or month: how the page's script writes it in the reader's zone


@dataclass(frozen=True, slots=True)
class ValueTick:
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Linear:
    """Values from 0 to `top` on `height` px, 0 at the bottom; what is above stays at the edge."""

    top: float
    height: float

    def y(self, value: float) -> float:
        return self.height * (1 - min(1.0, max(0.0, value / self.top)))


def nice_step(top: float, at_most: int) -> float:
    """The smallest of 1, 2, 5 × 10^n that cuts 0 to `top` into no more than `at_most` parts."""
    least = top / at_most
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def value_ticks(top: float, *, at_most: int = 4, write: Callable[[float], str] = "{:g}".format) -> tuple[ValueTick, ...]:
    """Ticks from 0 to `top`, which is above 0."""
    step = nice_step(top, at_most)
    return tuple(ValueTick(step * i, write(step * i)) for i in range(math.floor(top / step * (1 + 1e-9)) + 1))


def latency_ticks(top: float, *, at_most: int = 5) -> tuple[ValueTick, ...]:
    """Ticks in milliseconds, or in seconds from a step of 1 s on; `top` in seconds."""
    step = nice_step(top, at_most)
    factor, unit = (1, "s") if step >= 1 else (1000, "ms")

    def write(seconds: float) -> str:
        return f"{round(seconds * factor, 6):g}\u00a0{unit}" if seconds else "0"

    return value_ticks(top, at_most=at_most, write=write)


def latency_top(highest: float | None) -> float:
    """The upper end of a scale of latencies: a little air above the highest; seconds."""
    return max(_LEAST_TOP, (highest or 0) * 1.08)


def time_ticks(span: Span, *, at_most: int = 6) -> tuple[Tick, ...]:
    """At most that many ticks at round times of UTC."""
    length = span.length.total_seconds()
    for step in _STEPS:
        if length / step <= at_most:
            return tuple(_tick(span, at, *_form(step)) for at in _every(span, step))
    months = next((n for n in _MONTHS if length / (n * 28 * _DAY) <= at_most), _MONTHS[-1])
    return tuple(_tick(span, at, texts.month, "month") for at in _first_days(span, months))


def _form(step: int) -> tuple[Callable[[datetime], str], str]:
    if step >= _DAY:
        return texts.day, "day"
    return (texts.clock, "minute") if step >= _MINUTE else (texts.second, "clock")


def _tick(span: Span, at: datetime, write: Callable[[datetime], str], form: str) -> Tick:
    return Tick(at, span.part(at), write(at), form)


def _every(span: Span, step: int) -> Iterator[datetime]:
    each = timedelta(seconds=step)
    at = _MONDAY - (_MONDAY - span.start) // each * each  # the first that is not before the start
    while at <= span.end:
        yield at
        at += each


def _first_days(span: Span, months: int) -> Iterator[datetime]:
    index = (span.start.year * 12 + span.start.month - 1) // months * months
    while index < 9999 * 12:
        at = datetime(max(1, index // 12), index % 12 + 1, 1, tzinfo=UTC)
        if at > span.end:
            return
        if at >= span.start:
            yield at
        index += months
