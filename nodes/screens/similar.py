"""Earlier incidents of the pool that were like one: the same node, or the same cause; how long they lasted, how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nodes.engine.enums import EventType
from nodes.screens.incident_story import Before, Story

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Similar:
    id: int
    summary: str
    opened_at: datetime
    lasted: float | None  # seconds; None: it is open
    ended: str  # in words
    alike: str  # in words


def similar(story: Story) -> tuple[Similar, ...]:
    """Those of the same node first, then the newest."""
    nodes = {failure.node for failure in story.failures}
    causes = {failure.cause for failure in story.failures}
    ranked = [(_alike(each, nodes, causes), each) for each in story.before]
    kept = sorted((pair for pair in ranked if pair[0]), key=lambda pair: pair[0] != _SAME_NODE)
    return tuple(Similar(each.id, each.summary, each.opened_at, _lasted(each), _ended(each), alike) for alike, each in kept[:SHOWN])


_SAME_NODE, _SAME_CAUSE = "same node", "same cause"


def _alike(before: Before, nodes: set[int], causes: set[str]) -> str:
    if any(node in nodes for node, _ in before.failures):
        return _SAME_NODE
    return _SAME_CAUSE if any(cause in causes for _, cause in before.failures) else ""


def _lasted(before: Before) -> float | None:
    return (before.closed_at - before.opened_at).total_seconds() if before.closed_at else None


def _ended(before: Before) -> str:
    if before.closed_at is None:
        return "still open"
    if before.ended_by == EventType.FAILURE_ENDED:
        return f"taken out by {before.person}" if before.person else "the node was taken out"
    return f"recovered after {before.person} did something" if before.person else "recovered by itself"
