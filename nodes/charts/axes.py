"""Axes as text: the time below, values in the gutter on the left, with a hairline through the chart."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.safestring import SafeString

from nodes.charts import texts
from nodes.charts.markup import element, joined, percent_of
from nodes.charts.scale import Linear, Tick, ValueTick, time_ticks
from nodes.charts.values import Span

_EDGE = 0.05  # nearer to an edge a label is written away from it
_LAST, _LAST_ON_A_PHONE = 0.88, 0.8  # behind this the label of the end has no room beside it
_ON_A_PHONE = 3  # labels that it has room for
_GUTTER_GAP = -8  # px, left of the chart


def time_axis(span: Span, y: float) -> SafeString:
    """Ticks of a time axis; "now" at the end of what is live, which a file replaces by `data-end`.

    `data-at` and `data-form` let the page's script write the reader's time.
    """
    ticks = [tick for tick in time_ticks(span) if not (span.live and tick.x > _LAST)]
    crowded = len(ticks) > _ON_A_PHONE
    labels = [_label(tick, y, "wide" if crowded and (i % 2 or tick.x > _LAST_ON_A_PHONE) else None) for i, tick in enumerate(ticks)]
    if span.live:
        place = {"x": "100%", "y": y, "text-anchor": "end"}
        labels.append(element("text", {**place, "data-end": texts.ending(span.end, span.length)}, "now"))
    return joined(*labels)


def value_axis(ticks: Sequence[ValueTick], scale: Linear, top: float) -> SafeString:
    """A hairline per tick, `top` px from the upper edge of the picture, and its label in the gutter."""
    parts = []
    for tick in ticks:
        y = top + scale.y(tick.value)
        parts.append(element("line", {"class": "grid", "x1": 0, "x2": "100%", "y1": y, "y2": y}))
        parts.append(element("text", {"x": _GUTTER_GAP, "y": y + 4, "text-anchor": "end"}, tick.text))
    return joined(*parts)


def _label(tick: Tick, y: float, kind: str | None) -> SafeString:
    place = {"class": kind, "x": percent_of(tick.x), "y": y, "text-anchor": _anchor(tick.x)}
    return element("text", {**place, "data-at": texts.iso(tick.at), "data-form": tick.form}, tick.text)


def _anchor(x: float) -> str:
    if x < _EDGE:
        return "start"
    return "end" if x > 1 - _EDGE else "middle"
