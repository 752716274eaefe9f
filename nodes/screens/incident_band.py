"""Where the traffic went: the shares of the pool four minutes before and after they first moved, with what moved them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from nodes.charts import Cause, Chart, Pin, Shares, Span, shares_band
from nodes.engine.enums import ChangeKind
from nodes.screens.decisions import DecisionRecord
from nodes.screens.incident_story import Story

_PINNED = 3  # moves
_NO_BREAK = "\u00a0"


def band(story: Story, decisions: Iterable[DecisionRecord]) -> Chart | None:
    """None when no share is known of that time."""
    start, end = story.around
    if not story.points or end <= start:
        return None
    moved = min((each.moved_at for each in story.failures if each.moved_at), default=None)
    span = Span(start, end)
    return shares_band(
        tuple(_segments(story, end)), list(story.names.values()), span, subject=story.row.pool, moved_at=moved,
        pins=[*_moves(story, decisions), *_people(story)],
    )  # fmt: skip  # what belongs together stays on a line


def _segments(story: Story, end: datetime) -> Iterator[Shares]:
    ends = [later.at for _, later in pairwise(story.points)] + [end]
    for point, until in zip(story.points, ends, strict=True):
        if until > point.at:
            shares: dict[str, int] = {}
            for node, share in point.shares.items():
                name = story.names.get(node, f"node {node}")
                shares[name] = shares.get(name, 0) + share
            yield Shares(point.at, until, shares)


def _moves(story: Story, decisions: Iterable[DecisionRecord]) -> list[Pin]:
    pins = []
    for each in sorted((each for each in decisions if each.epoch), key=lambda each: each.at):
        cause = Cause.AUTOMATION if each.by_automation else Cause.PERSON
        if each.kind == ChangeKind.FAILOVER:
            after = (each.at - story.row.opened_at).total_seconds()
            lost = sum(max(0, -line.gained) for line in each.considered) / 100
            what = f"{lost:g}{_NO_BREAK}% moved off {each.node}"
            pins.append(Pin(each.at, what, (f"{after:.1f}{_NO_BREAK}s after the first bad check",), cause))
        else:
            pins.append(Pin(each.at, f"{each.node or story.row.pool}: {each.kind}", (), cause))
    return pins[:_PINNED]


def _people(story: Story) -> list[Pin]:
    row = story.row
    return [Pin(row.acknowledged_at, row.acknowledged_by, ("acknowledged",), Cause.PERSON)] if row.acknowledged_at else []
