"""What one API token may ask of this process: requests a second with some at once, and long polls that wait.

Kept in memory and bounded in number.  Who is over it is known by the digest of a secret that was proved before, so that a refusal
asks no database, and a stranger who knows a token's name alone uses nothing of its budget up.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

MOST = 10_000  # secrets and buckets that are kept, the least recently used go first


class Bucket:
    """`rate` requests a second, twice as many at once."""

    __slots__ = ("_at", "_left")

    def __init__(self, rate: float, now: float) -> None:
        self._left, self._at = 2.0 * rate, now

    def take(self, rate: float, now: float, cost: float = 1.0) -> float:
        """Seconds until the next request is taken; 0: this one is.  What costs more than a second's rate leaves debts."""
        self._left, self._at = min(2.0 * rate, self._left + (now - self._at) * rate), now
        needed = min(cost, max(rate, 1.0))
        if self._left < needed:
            return (needed - self._left) / rate
        self._left -= cost
        return 0.0


class TokenLimits:
    """By `rates` (scope → requests a second) and `waiting`, the long polls of one token; `now` is monotonic, in seconds."""

    def __init__(self, rates: Mapping[str, float], waiting: int) -> None:
        self._rates, self._most_waiting = rates, waiting
        self._proved: OrderedDict[str, int] = OrderedDict()  # digest of a secret → token
        self._buckets: OrderedDict[tuple[int, str], Bucket] = OrderedDict()
        self._waiting: Counter[int] = Counter()
        self._lock = Lock()  # views run in threads

    def wait_of(self, digest: str, scope: str, now: float, cost: float = 1.0) -> int | None:
        """Whole seconds that this secret has to wait, 0 when it may ask now; None, uncounted, when it was never proved here."""
        with self._lock:
            token = self._proved.get(digest)
            return None if token is None else self._take(token, scope, now, cost)

    def proved(self, digest: str, token: int) -> None:
        """This secret is that token's."""
        with self._lock:
            self._proved[digest] = token
            self._proved.move_to_end(digest)
            while len(self._proved) > MOST:
                self._proved.popitem(last=False)

    def _take(self, token: int, scope: str, now: float, cost: float = 1.0) -> int:
        rate = self._rates[scope]
        bucket = self._buckets.setdefault((token, scope), Bucket(rate, now))
        self._buckets.move_to_end((token, scope))
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return math.ceil(bucket.take(rate, now, cost))

    @contextmanager
    def one_waiting(self, token: int) -> Iterator[bool]:
        """Whether one more long poll of this token may wait; it counts until the block ends."""
        with self._lock:
            allowed = self._waiting[token] < self._most_waiting
            self._waiting[token] += allowed
        try:
            yield allowed
        finally:
            with self._lock:
                self._waiting[token] -= allowed
                if not self._waiting[token]:
                    del self._waiting[token]
