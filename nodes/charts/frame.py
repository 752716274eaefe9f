"""The two pictures of a chart.

The outer one has a height and no view box: text, pins and hatch keep their size at any width and stand at a part of it.
The inner one is stretched to the width: 1000 units across, its lines as thick as they are said to be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.utils.safestring import SafeString

from nodes.charts.markup import element, number
from nodes.charts.values import Point

ACROSS = 1000  # units


def across(part: float) -> float:
    """A part of the width, 0 to 1, in units of the inner picture."""
    return part * ACROSS


def picture(
    kind: str, height: float, label: str, *children: str, points: Sequence[Point] = (), width: float | None = None
) -> SafeString:
    """The outer picture, as wide as its place if it has no width; with points, the pointer and the arrow keys walk over them."""
    walked = {"tabindex": "0", "data-points": written(points)} if points else {}
    attributes = {"class": kind, "width": width, "height": height, "role": "img", "aria-label": label, **walked}
    return element("svg", attributes, *children)


def stretched(y: float, height: float, *children: str) -> SafeString:
    """The inner picture, at `y` of the outer one."""
    box = f"0 0 {ACROSS} {number(height)}"
    attributes = {"y": y, "width": "100%", "height": height, "viewBox": box, "preserveAspectRatio": "none"}
    return element("svg", attributes, *children) if any(children) else SafeString()


def mark(x: str, y: float, *children: str) -> SafeString:
    """A shape of fixed size at a part of the width, drawn around its own 0, 0."""
    return element("svg", {"x": x, "y": y, "overflow": "visible"}, *children)


def written(points: Sequence[Point]) -> str:
    """`[x, y or null, time, line, ...]` per point, x and y in thousandths, as the script reads them."""
    rows = [[round(p.x * 1000), None if p.y is None else round(p.y * 1000), p.at, *p.lines] for p in points]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def hatch() -> SafeString:
    """The pattern of what was received; once in each page, before its charts."""
    lines = element("path", {"class": "hat", "d": "M0 0v6"})
    turned = {"id": "hatch", "width": 6, "height": 6, "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    pattern = element("pattern", turned, lines)
    return element("svg", {"class": "hatch-defs", "aria-hidden": "true"}, element("defs", {}, pattern))
