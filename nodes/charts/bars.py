"""Bars of one line: the share of a node in its track, the shares of a pool, any parts of a whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.utils.safestring import SafeString

from nodes.charts import texts
from nodes.charts.frame import picture
from nodes.charts.markup import element, joined, percent_of
from nodes.charts.stack import TINTS, WHOLE

HIGH, QUIET, PLAIN = 22, 4, 10  # px: in a picture, of a healthy pool, else
_CORNER = 2  # px


@dataclass(frozen=True, slots=True)
class Part:
    """A node's share in basis points, and how much of it came with the last move."""

    name: str
    points: int
    received: int = 0


@lru_cache(maxsize=4096)
def shares_bar(parts: tuple[Part, ...], *, height: int = PLAIN) -> SafeString:
    """The shares of a pool, in take-over order: who has none keeps the tint, what nobody carries stays track."""
    total = max(WHOLE, sum(max(0, part.points) for part in parts))
    drawn, seams, at = [], [], 0.0
    for i, part in enumerate(parts):
        if part.points > 0:
            width = part.points / total
            seams += [_seam(at, height)] if at else []
            drawn.append(_stretch(f"t{i % TINTS + 1}", at, width, height))
            drawn.append(_received(at, width, part, height))
            at += width
    said = ", ".join(f"{part.name} {texts.percent(part.points)}" for part in parts if part.points > 0)
    return picture("bar", height, f"Shares: {said or 'nobody'}", _track(height), *drawn, *seams)


@lru_cache(maxsize=4096)
def share_bar(part: Part, *, tint: int = 1, height: int = PLAIN) -> SafeString:
    """The share of one node in its track."""
    width = min(1.0, max(0, part.points) / WHOLE)
    body = joined(_stretch(f"t{tint}", 0, width, height), _received(0, width, part, height)) if width else ""
    return picture("bar", height, f"{part.name} {texts.percent(part.points)}", _track(height), body)


def _track(height: int) -> SafeString:
    return element("rect", {"class": "tr", "width": "100%", "height": height, "rx": min(_CORNER, height / 2)})


def _stretch(kind: str, at: float, width: float, height: int) -> SafeString:
    return element("rect", {"class": kind, "x": percent_of(at), "width": percent_of(width), "height": height})


def _received(at: float, width: float, part: Part, height: int) -> SafeString:
    """The hatch over the end of a share."""
    if part.received <= 0:
        return SafeString()
    new = width * min(1.0, part.received / part.points)
    place = {"x": percent_of(at + width - new), "width": percent_of(new), "height": height}
    return element("rect", {"fill": "url(#hatch)", **place})


def _seam(at: float, height: int) -> SafeString:
    x = percent_of(at)
    return element("line", {"class": "sep", "x1": x, "x2": x, "y1": 0, "y2": height})
