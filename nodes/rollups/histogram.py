"""Latencies as a histogram that can be added up, as percentiles cannot.

64 buckets: bucket i (1 to 62) holds 0.001 s × 60000^((i-1)/62) <= latency < 0.001 s × 60000^(i/62), which is 1 ms
to 60 s in steps of 19.4 %; bucket 0 is below 1 ms, bucket 63 is 60 s and more.  The geometric middle of a bucket is at
most 9.3 % off.  An empty bucket is stored as NULL, which takes no room in the array.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

BUCKETS = 64
FASTEST, SLOWEST = 0.001, 60.0  # seconds
BOUNDS = tuple(FASTEST * (SLOWEST / FASTEST) ** (step / (BUCKETS - 2)) for step in range(BUCKETS - 1))


def bucket(latency: float) -> int:
    """The bucket, 0 to 63, of a latency in seconds; the same as `width_bucket(latency, BOUNDS)` in SQL."""
    return bisect_right(BOUNDS, latency)


def quantile(histogram: Sequence[int | None], q: float) -> float | None:
    """The latency in seconds that the part `q` (0 to 1) of the answers did not exceed, by nearest rank; None without answers.

    0.001 stands for "at most", 60 for "at least"; in between the value is within 9.3 % of the exact one.
    """
    counts = [count or 0 for count in histogram]
    rank = max(1, math.ceil(q * sum(counts)))
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if seen >= rank:
            return _middle(index)
    return None


def _middle(index: int) -> float:
    if index == 0:
        return FASTEST
    if index == BUCKETS - 1:
        return SLOWEST
    return math.sqrt(BOUNDS[index - 1] * BOUNDS[index])


def merged(column: str = "histogram") -> str:
    """An SQL expression that adds up the histograms of a group of rows; an empty bucket stays NULL.

    `column` is a name from the source, never from a user.
    """
    return "ARRAY[" + ", ".join(f"sum({column}[{i}])::int" for i in range(1, BUCKETS + 1)) + "]"
