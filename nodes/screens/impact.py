"""How long users were hit, and how much of the traffic: from the failures of nodes that held a share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WHOLE = 10_000  # basis points


@dataclass(frozen=True, slots=True)
class Hit:
    """From `start` to `end` a failing node held a share, in basis points; `end` None: it still does."""

    start: datetime
    end: datetime | None
    share: int


@dataclass(frozen=True, slots=True)
class Impact:
    """`seconds` while at least one share was hit, `share` the most of the traffic at one time, `now`: users are hit."""

    seconds: float
    share: int
    now: bool
    hits: int

    @property
    def any(self) -> bool:
        return self.hits > 0


def impact(hits: Sequence[Hit], now: datetime) -> Impact:
    """All hits together; what overlaps counts once in time, and together in share."""
    spans = sorted((each.start, max(each.start, each.end or now), each.share) for each in hits)
    seconds, until = 0.0, None
    for start, end, _ in spans:
        begin = start if until is None or start > until else until
        seconds += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return Impact(seconds, _peak(spans), any(each.end is None for each in hits), len(spans))


def _peak(spans: list[tuple[datetime, datetime, int]]) -> int:
    changes = sorted([(start, 1, share) for start, _, share in spans] + [(end, 0, -share) for _, end, share in spans])
    most = at = 0
    for _, _, share in changes:
        at += share
        most = max(most, at)
    return min(WHOLE, most)
