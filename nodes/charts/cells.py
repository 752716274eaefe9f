"""The nodes of a pool as cells: all healthy ones together are one path, height and shape tell the others apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from django.utils.safestring import SafeString

from nodes.charts.frame import picture
from nodes.charts.markup import box, element, number, path
from nodes.charts.values import Point

HEIGHT = 14  # px
WIDE, NARROW = (10, 2), (5, 1)  # px: a cell, and the gap after it
_WIDE_UP_TO, _ALL_UP_TO, _WORST = 12, 26, 12  # nodes
_CALM = 10  # px high
_EDGE = 0.75  # px, half an outline
_MORE, _DIGIT = 4, 7  # px before "+38", and for each of its letters


class CellState(StrEnum):
    """Worst first: in this order more than 26 nodes are cut."""

    FAILED = "failed"
    SUSPECT = "suspect"
    STALE = "stale"
    RECOVERING = "recovering"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"
    DISABLED = "disabled"
    HEALTHY = "healthy"


_RANK = {state: rank for rank, state in enumerate(CellState)}


@dataclass(frozen=True, slots=True)
class NodeCell:
    name: str
    state: CellState
    why: str = ""


def _block(x: float, w: float) -> str:
    return box(x, 0, w, HEIGHT)


def _outline(x: float, w: float) -> str:
    return box(x + _EDGE, _EDGE, w - 2 * _EDGE, HEIGHT - 2 * _EDGE)


def _calm(x: float, w: float) -> str:
    return box(x, HEIGHT - _CALM, w, _CALM)


def _half(x: float, w: float) -> str:
    return box(x, HEIGHT / 2, w, HEIGHT / 2)


def _dot(x: float, w: float) -> str:
    side = w / 4
    return box(x + (w - side) / 2, (HEIGHT - side) / 2, side, side)


def _cross(x: float, w: float) -> str:
    reach, left, right = w * 0.25, x + w * 0.25, x + w * 0.75
    top, foot = HEIGHT / 2 - reach, HEIGHT / 2 + reach
    return (
        f"M{number(left)} {number(top)}L{number(right)} {number(foot)}M{number(right)} {number(top)}L{number(left)} {number(foot)}"
    )


def _bar(x: float, w: float) -> str:
    return f"M{number(x + w / 2)} {number(HEIGHT * 0.28)}v{number(HEIGHT * 0.44)}"


def _diamond(x: float, w: float) -> str:
    half, tall = number(w / 2), number(min(w, HEIGHT) / 2 + 1)
    return f"M{number(x + w / 2)} {number(HEIGHT / 2 - float(tall))}l{half} {tall}l-{half} {tall}l-{half}-{tall}z"


def _stroke(x: float, w: float) -> str:
    return f"M{number(x + _EDGE)} {number(HEIGHT - _EDGE)}L{number(x + w - _EDGE)} {number(_EDGE)}"


_SHAPES: Mapping[CellState, tuple[tuple[str, Callable[[float, float], str]], ...]] = {
    CellState.HEALTHY: (("f-ok", _calm),),
    CellState.FAILED: (("f-bad", _block), ("s-cut", _cross)),
    CellState.SUSPECT: (("s-warn", _outline), ("f-warn", _dot)),
    CellState.DRAINING: (("f-hand", _block), ("s-cut", _bar)),
    CellState.MAINTENANCE: (("f-hand", _diamond),),
    CellState.DISABLED: (("s-off", lambda x, w: _outline(x, w) + _stroke(x, w)),),
    CellState.STALE: (("s-off dashed", _outline),),
    CellState.RECOVERING: (("s-accent", _outline), ("f-accent", _half)),
}


def cells(nodes: Sequence[NodeCell], *, walked: bool = False, narrow: bool = False) -> SafeString:
    """In the order given; above 26 nodes the 12 worst and how many more.

    `walked` gives each cell a tooltip; `narrow` draws few nodes as narrow as many.
    """
    return _cells(tuple(nodes), walked, narrow)


@lru_cache(maxsize=4096)
def _cells(nodes: tuple[NodeCell, ...], walked: bool, narrow: bool) -> SafeString:
    shown = nodes if len(nodes) <= _ALL_UP_TO else tuple(sorted(nodes, key=lambda node: _RANK[node.state])[:_WORST])
    width, gap = NARROW if narrow or len(nodes) > _WIDE_UP_TO else WIDE
    step = width + gap
    end = max(1, len(shown) * step - gap)
    paths = [
        path(kind, "".join(shape(i * step, width) for i, node in enumerate(shown) if node.state is state))
        for state, shapes in _SHAPES.items()
        for kind, shape in shapes
    ]
    hidden = len(nodes) - len(shown)
    more = element("text", {"x": end + _MORE, "y": HEIGHT - 3}, f"+{hidden}") if hidden else ""
    full = end + (_MORE + _DIGIT * len(f"+{hidden}") if hidden else 0)
    tips = [Point(i * step / full, "", (node.name, _said(node))) for i, node in enumerate(shown)] if walked else []
    return picture("cells", HEIGHT, summary(nodes), *paths, more, points=tips, width=full)


def summary(nodes: Sequence[NodeCell]) -> str:
    """3 healthy, 1 failed: worst first, as the picture is read out."""
    states = [node.state for node in nodes]
    return ", ".join(f"{states.count(state)} {state}" for state in CellState if state in states) or "no nodes"


def _said(node: NodeCell) -> str:
    return f"{node.state}: {node.why}" if node.why else node.state
