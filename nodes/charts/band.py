"""Shares over time as a stacked band: who carried the traffic, what moved it, and what the last move brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

from django.utils.safestring import SafeString

from nodes.charts import pins as pinned
from nodes.charts import texts
from nodes.charts.axes import time_axis
from nodes.charts.frame import across, picture, stretched
from nodes.charts.markup import box, element, joined, number, path, percent_of
from nodes.charts.stack import Layer, Shares, fitted, layers, stacked, touches
from nodes.charts.values import Cause, Chart, LegendEntry, Pin, Point, Span, Table

HEIGHT = 236  # px
TOP, PLOT = 58, 158  # px: pins above, then the band
_HEAD, _AXIS = 30, 230  # px: where pins and the labels of the time are
_ROOM, _PAD = 15, 10  # px: the lowest part that takes text, and the space left of it
_LETTER = 6.4  # px, of the bold 11 px
_PARTED = 60  # columns; between more of them seams would be all that is seen
_EACH = 0.02  # a text in a narrower segment is not even tried


@dataclass(frozen=True, slots=True)
class _Column:
    """A segment with the edges of its layers in px from the top of the band."""

    shares: Shares
    left: float  # 0 to 1
    right: float
    points: tuple[int, ...]
    edges: tuple[float, ...]


def shares_band(
    segments: Sequence[Shares],
    order: Sequence[str],
    span: Span,
    *,
    subject: str,
    pins: Sequence[Pin] = (),
    moved_at: datetime | None = None,
) -> Chart:
    """236 px high; `order` is the take-over order, `moved_at` the last move if it is not simply the last change."""
    fit = fitted(segments, span)
    bands = layers(order, fit)
    columns = tuple(_column(each, bands, span) for each in fit)
    shown = pinned.pins_in(pins, span)
    label = _sentence(columns, bands, span, subject)
    svg = picture(
        "chart band",
        HEIGHT,
        label,
        stretched(TOP, PLOT, path("tr", box(0, 0, 1000, PLOT)), *_bodies(columns, bands)),
        _hatched(columns, moved_at),
        *(_words(column, bands) for column in columns),
        pinned.drawn(shown, span, head=_HEAD, foot=TOP + PLOT),
        time_axis(span, _AXIS),
        "" if columns else element("text", {"x": "50%", "y": TOP + PLOT / 2 + 4, "text-anchor": "middle"}, "nothing recorded"),
        points=_points(columns, bands, shown),
    )
    return Chart(svg, label, _table(columns, bands), _legend(bands, columns, moved_at, shown), pinned.notes(shown, span))


def _column(shares: Shares, bands: Sequence[Layer], span: Span) -> _Column:
    points = tuple(layer.of(shares.points) for layer in bands)
    return _Column(shares, span.part(shares.start), span.part(shares.end), points, stacked(points, PLOT))


def _runs(columns: Sequence[_Column]) -> list[list[_Column]]:
    """Columns that touch one another, between which nothing is missing."""
    breaks = [0]
    for earlier, later in pairwise(columns):
        breaks.append(breaks[-1] + (not touches(earlier.shares, later.shares)))
    return [[column for column, _ in group] for _, group in groupby(zip(columns, breaks, strict=False), key=lambda pair: pair[1])]


def _bodies(columns: Sequence[_Column], bands: Sequence[Layer]) -> list[SafeString]:
    """One path per layer: along its upper edge in steps, and back along the lower one."""
    runs = _runs(columns)
    kind = "layer t{}" if len(columns) <= _PARTED else "t{}"
    return [path(kind.format(layer.tint), "".join(_outline(run, i) for run in runs)) for i, layer in enumerate(bands)]


def _outline(run: Sequence[_Column], i: int) -> str:
    if not any(column.points[i] for column in run):
        return ""
    there = "".join(f"V{number(each.edges[i])}H{number(across(each.right))}" for each in run)
    back = "".join(f"V{number(each.edges[i + 1])}H{number(across(each.left))}" for each in reversed(run))
    return f"M{number(across(run[0].left))} {number(run[0].edges[i])}{there}{back}z"


def _received(columns: Sequence[_Column], moved_at: datetime | None) -> list[tuple[_Column, tuple[int, ...]]]:
    """What each layer has more than before the last move, since then."""
    since = moved_at or (columns[-1].shares.start if columns else None)
    before = [column for column in columns if since and column.shares.end <= since]
    if not before:
        return []
    had = before[-1].points
    after = columns[len(before) :]
    return [(each, tuple(max(0, now - then) for now, then in zip(each.points, had, strict=True))) for each in after]


def _hatched(columns: Sequence[_Column], moved_at: datetime | None) -> SafeString:
    rects = []
    for column, gained in _received(columns, moved_at):
        for i, points in enumerate(gained):
            height = (column.edges[i + 1] - column.edges[i]) * points / max(1, column.points[i])
            if height >= 1:
                place = {"x": percent_of(column.left), "width": percent_of(column.right - column.left)}
                y = TOP + column.edges[i + 1] - height
                rects.append(element("rect", {"fill": "url(#hatch)", **place, "y": y, "height": height}))
    return joined(*rects)


def _words(column: _Column, bands: Sequence[Layer]) -> SafeString:
    width = column.right - column.left
    if width < _EACH:
        return SafeString()
    parts = []
    for i, layer in enumerate(bands):
        room = column.edges[i + 1] - column.edges[i]
        if room >= _ROOM:
            parts.append(_word(layer, column, width, TOP + (column.edges[i] + column.edges[i + 1]) / 2 + 4, column.points[i]))
    return joined(*parts)


def _word(layer: Layer, column: _Column, width: float, y: float, points: int) -> SafeString:
    """Name and share, or the share alone, or nothing: by the room on a desk and on a phone."""
    wide, narrow = (_fitting(layer.name, points, width * px) for px in (pinned.WIDE, pinned.NARROW))
    place = {"x": percent_of(column.left), "dx": _PAD, "y": y}
    if wide == narrow:
        return element("text", {"class": f"o{layer.tint}", **place}, wide) if wide else SafeString()
    on_phone = element("text", {"class": f"o{layer.tint} narrow", **place}, narrow) if narrow else ""
    return joined(element("text", {"class": f"o{layer.tint} wide", **place}, wide), on_phone)


def _fitting(name: str, points: int, room: float) -> str:
    share = texts.percent(points)
    return next((text for text in (f"{name} {share}", share) if len(text) * _LETTER + 2 * _PAD <= room), "")


def _said(points: Mapping[str, int] | Sequence[int], bands: Sequence[Layer]) -> list[str]:
    """Each layer that carries something, in order."""
    amounts = points if isinstance(points, Sequence) else [layer.of(points) for layer in bands]
    return [f"{layer.name} {texts.percent(amount)}" for layer, amount in zip(bands, amounts, strict=True) if amount]


def _sentence(columns: Sequence[_Column], bands: Sequence[Layer], span: Span, subject: str) -> str:
    start = f"Shares of {subject}, {texts.between(span.start, span.end)}"
    if not columns:
        return f"{start}: nothing recorded."
    first, last = ((", ".join(_said(column.points, bands)) or "nobody") for column in (columns[0], columns[-1]))
    if len(columns) == 1:
        return f"{start}: {first}."
    return f"{start}: at first {first}; after {texts.counted(len(columns) - 1, 'change')} {last}."


def _points(columns: Sequence[_Column], bands: Sequence[Layer], pins: Sequence[Pin]) -> list[Point]:
    points = []
    for i, column in enumerate(columns):
        last = i + 1 == len(columns)
        within = (p for p in pins if column.shares.start <= p.at and (p.at < column.shares.end or last))
        moves = [line for pin in within for line in pinned.lines_of(pin)]
        lines = (*(_said(column.points, bands) or ["nobody"]), *moves)
        points.append(Point(column.left, texts.iso(column.shares.start), lines))
        if last or not touches(column.shares, columns[i + 1].shares):
            points.append(Point(column.right, texts.iso(column.shares.end), ("not recorded",)))
    return points[:-1] if points and points[-1].x >= 1 else points


def _table(columns: Sequence[_Column], bands: Sequence[Layer]) -> Table:
    rows = tuple(
        (texts.full(each.shares.start), texts.full(each.shares.end), *(texts.percent(points) for points in each.points))
        for each in columns
    )
    return Table(("From (UTC)", "To (UTC)", *(layer.name for layer in bands)), rows)


def _legend(
    bands: Sequence[Layer], columns: Sequence[_Column], moved_at: datetime | None, pins: Sequence[Pin]
) -> tuple[LegendEntry, ...]:
    now = columns[-1].points if columns else [0] * len(bands)
    entries = [LegendEntry(f"t{layer.tint}", layer.name, texts.percent(points)) for layer, points in zip(bands, now, strict=True)]
    if _hatched(columns, moved_at):
        entries.append(LegendEntry("received", "received in the last move"))
    causes = {pin.cause for pin in pins}
    entries += [LegendEntry(cause.value, text) for cause, text in _CAUSES.items() if cause in causes]
    return tuple(entries)


_CAUSES = {Cause.AUTOMATION: "automation", Cause.PERSON: "a person"}
