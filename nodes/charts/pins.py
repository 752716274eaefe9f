"""Pins: what moved the shares, above the moment when it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils.safestring import SafeString

from nodes.charts import texts
from nodes.charts.frame import mark
from nodes.charts.markup import element, joined, percent_of
from nodes.charts.values import Cause, Pin, Span

WIDE, NARROW = 860, 320  # px of a chart on a desk and on a phone
_LETTER = 6.3  # px, of the bold 11 px
_LINE = 14  # px
_GAP = 12  # px between a pin and its text
_MARK = 8  # px around another pin's mark
_LINES = 2  # grey ones
_MARKS = {Cause.AUTOMATION: ("f-warn", "M0-6 6 5H-6z"), Cause.PERSON: ("f-hand", "M0-6 6 0 0 6-6 0z")}
_STEMS = {Cause.AUTOMATION: "pin-auto", Cause.PERSON: "pin-hand"}


@dataclass(frozen=True, slots=True)
class _Label:
    pin: Pin
    x: float  # 0 to 1
    leftward: bool
    narrow: bool  # has room on a phone too


def pins_in(pins: Sequence[Pin], span: Span) -> tuple[Pin, ...]:
    """Those that the span holds, oldest first."""
    return tuple(sorted((pin for pin in pins if span.holds(pin.at)), key=lambda pin: pin.at))


def drawn(pins: Sequence[Pin], span: Span, *, head: float, foot: float, labelled: bool = True) -> SafeString:
    """Pins from `head` to `foot` (px), text around the head where it has room, newest first."""
    parts = []
    for pin in pins:
        x = percent_of(span.part(pin.at))
        kind, shape = _MARKS[pin.cause]
        parts.append(element("line", {"class": _STEMS[pin.cause], "x1": x, "x2": x, "y1": head, "y2": foot}))
        parts.append(mark(x, head, element("path", {"class": kind, "d": shape})))
    if labelled:
        parts += [_text(label, head) for label in _labels(pins, span)]
    return joined(*parts)


def lines_of(pin: Pin) -> tuple[str, ...]:
    return (pin.what, *pin.lines)


def notes(pins: Sequence[Pin], span: Span) -> tuple[str, ...]:
    """The same in sentences, for where the picture is too small for text."""
    written = texts.second if span.length <= timedelta(days=1) else texts.full
    return tuple(f"{written(pin.at)} UTC: {', '.join(lines_of(pin))}." for pin in pins)


def _labels(pins: Sequence[Pin], span: Span) -> list[_Label]:
    labels: list[_Label] = []
    taken: list[tuple[float, float]] = []
    for pin in reversed(pins):
        x = span.part(pin.at)
        width = max(len(line) for line in (pin.what, *pin.lines[:_LINES])) * _LETTER
        others = [span.part(other.at) for other in pins if other is not pin]
        for leftward in (False, True):
            start, end = _reach(x, width, WIDE, leftward=leftward)
            free = all(start > right + _GAP or end < left - _GAP for left, right in taken)
            if free and _clear(start, end, others, WIDE):
                on_phone = _reach(x, len(pin.what) * _LETTER, NARROW, leftward=leftward)
                labels.append(_Label(pin, x, leftward, not labels and _clear(*on_phone, others, NARROW)))
                taken.append((start, end))
                break
    return labels


def _reach(x: float, width: float, full: int, *, leftward: bool) -> tuple[float, float]:
    """From where to where a text beside a pin goes, px."""
    start = x * full - _GAP - width if leftward else x * full + _GAP
    return start, start + width


def _clear(start: float, end: float, others: Sequence[float], full: int) -> bool:
    """Inside the picture, and over no other pin."""
    return start >= 0 and end <= full and not any(start - _MARK < x * full < end + _MARK for x in others)


def _text(label: _Label, head: float) -> SafeString:
    grey = label.pin.lines[:_LINES]
    first = head + 4 - (_LINE * len(grey)) / 2
    place = {
        "x": percent_of(label.x),
        "dx": -_GAP if label.leftward else _GAP,
        "text-anchor": "end" if label.leftward else "start",
    }
    bold = element("text", {"class": "lab" if label.narrow else "lab wide", **place, "y": first}, label.pin.what)
    rest = [element("text", {"class": "wide", **place, "y": first + _LINE * (i + 1)}, line) for i, line in enumerate(grey)]
    return joined(bold, *rest)
