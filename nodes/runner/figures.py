"""What a runner counts of itself, for the metrics and the page's footer."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from psycopg.types.json import Jsonb

from nodes.engine.types import Observation
from nodes.ledger.rows import Cursor
from nodes.rollups import histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # s, upper bounds of check durations
LATE = 0.25  # s


class Figures:
    """Counts since the last report; `report` adds them to the slot's row, so that they grow over all terms."""

    def __init__(self) -> None:
        self._lateness: list[float] = []
        self._verdicts: Counter[str] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._latency_sum = 0.0
        self._dropped = 0

    def started(self, late: float) -> None:
        """A check began `late` seconds after it was due."""
        self._lateness.append(late)

    def seen(self, observations: Iterable[Observation]) -> None:
        for observation in observations:
            self._verdicts[observation.verdict.value] += 1
            if observation.latency is not None:
                self._buckets[bisect_left(BUCKETS, observation.latency)] += 1
                self._latency_sum += observation.latency

    def dropped(self, results: int) -> None:
        """Results that answered an old claim."""
        self._dropped += results

    def report(self, cursor: Cursor, key: tuple[str, int], now: datetime | None, *, stalls: int) -> float:
        """Add what was counted to the runner's row; returns the p99 of lateness since the last report, in seconds."""
        lateness, self._lateness = sorted(self._lateness), []
        p50, p99 = (lateness[int(len(lateness) * part)] if lateness else 0.0 for part in (0.5, 0.99))
        late = sum(seconds > LATE for seconds in lateness)
        verdicts, self._verdicts = self._verdicts, Counter()
        buckets, self._buckets = self._buckets, [0] * (len(BUCKETS) + 1)
        latency_sum, self._latency_sum = self._latency_sum, 0.0
        dropped, self._dropped = self._dropped, 0
        cursor.execute(
            """SELECT verdicts, latency_buckets, lateness_histogram FROM nodes_runner
               WHERE host = %s AND kind = 'checks' AND slot = %s""",
            key,
        )
        row = cursor.fetchone()
        if row is None:
            return p99
        total = Counter(row["verdicts"]) + verdicts
        summed = [a + b for a, b in zip(row["latency_buckets"] or [0] * len(buckets), buckets, strict=True)]
        delays = row["lateness_histogram"] or [0] * histogram.BUCKETS
        for seconds in lateness:
            delays[histogram.bucket(seconds)] += 1
        cursor.execute(
            """UPDATE nodes_runner SET seen_at = %s, checks = checks + %s, late = late + %s, stale_results = stale_results + %s,
                      stalls = stalls + %s, lateness_p50 = %s, lateness_p99 = %s, lateness_histogram = %s,
                      latency_buckets = %s, latency_sum = latency_sum + %s, verdicts = %s
               WHERE host = %s AND kind = 'checks' AND slot = %s""",
            (now, verdicts.total(), late, dropped, stalls, p50, p99, delays, summed, latency_sum, Jsonb(dict(total)), *key),
        )
        return p99
