"""What the guard refused: counted for `/metrics`, and said in the log once a second at the most."""

from __future__ import annotations

import logging
import time
from collections import Counter

EVERY = 1.0  # s between two lines

_log = logging.getLogger("failover_console.guard")

CONNECTIONS = "connections"
REASONS = {
    CONNECTIONS: ("idle", "no descriptor", "reads nothing", "too large", "too many", "too slow", "unreadable"),
    "sockets": ("full",),
}
OF_REQUESTS = ("bodies", "full", "one address", "too large", "unreadable")  # for each class of requests

counts: Counter[tuple[str, str]] = Counter()  # (class of requests, sockets or connections; why) -> refused by this process
_told: Counter[tuple[str, str]] = Counter()
_next = 0.0  # monotonic


def note(what: str, why: str, address: str) -> None:
    """Count one refusal; `why` is one of a few words, `address` the last one that is named."""
    global _next
    counts[what, why] += 1
    now = time.monotonic()
    if now < _next:
        return
    _next = now + EVERY
    news = counts - _told
    _told.update(news)
    said = ", ".join(f"{number} × {of} ({because})" for (of, because), number in sorted(news.items()))
    _log.warning("refused %s; the last one came from %s", said, address)
