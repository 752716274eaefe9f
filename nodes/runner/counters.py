"""Counts what a check runner does, for the metrics and the page's footer.

In: each check as it starts and ends.  Out: every few seconds the counts since the last report, added to the slot's row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from nodes.engine.types import Observation
from nodes.ledger import runners
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Cursor
from nodes.rollups import histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # s, upper bounds of check durations
LATE = 0.25  # s


@dataclass
class _Counted:
    """What was counted since the last report."""

    lateness: list[float] = field(default_factory=list)  # s, one a check
    verdicts: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    latency_sum: float = 0.0
    outdated: int = 0


class Counters:
    """Counts since the last report; `report` adds them to the slot's row, so that they grow over all terms."""

    def __init__(self) -> None:
        self._counted = _Counted()

    def started(self, late: float) -> None:
        """A check began `late` seconds after it was due."""
        self._counted.lateness.append(late)

    def observed(self, observations: Iterable[Observation]) -> None:
        """Checks ended."""
        counted = self._counted
        for observation in observations:
            counted.verdicts[observation.verdict.value] += 1
            if observation.latency is not None:
                counted.buckets[bisect_left(BUCKETS, observation.latency)] += 1
                counted.latency_sum += observation.latency

    def outdated(self, results: int) -> None:
        """So many results answered an old claim."""
        self._counted.outdated += results

    def report(self, cursor: Cursor, slot: Slot, now: datetime | None, *, stalls: int, loop_lag: float) -> float:
        """Add what was counted to the slot's row; returns the p99 of lateness since the last report, in seconds.

        The row stays locked until the caller's transaction ends.
        """
        counted, self._counted = self._counted, _Counted()
        lateness = sorted(counted.lateness)
        p50, p99 = (lateness[int(len(lateness) * part)] if lateness else 0.0 for part in (0.5, 0.99))
        row = runners.totals(cursor, slot.host, slot.number)
        if row is None:
            return p99
        delays = row["lateness_histogram"] or [0] * histogram.BUCKETS
        for seconds in lateness:
            delays[histogram.bucket(seconds)] += 1
        before = row["latency_buckets"] or [0] * len(counted.buckets)
        counts = runners.Counts(
            latency_buckets=[a + b for a, b in zip(before, counted.buckets, strict=True)],
            lateness_histogram=delays,
            verdicts=dict(Counter(row["verdicts"]) + counted.verdicts),
            checks=counted.verdicts.total(),
            late=sum(seconds > LATE for seconds in lateness),
            outdated=counted.outdated,
            stalls=stalls,
            lateness_p50=p50,
            lateness_p99=p99,
            latency_sum=counted.latency_sum,
            loop_lag=loop_lag,
        )
        runners.add(cursor, slot.host, slot.number, counts, now)
        return p99
