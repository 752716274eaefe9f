"""Turns an HTTP answer into an outcome, the same for every kind of destination, and says when to try again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from alerts.delivery.types import Disable, Outcome, Refused, Reply, RetryAfter

LONGEST_RETRY_AFTER = 900.0  # s; a Retry-After beyond it is cut
_SHORTEST_RETRY_AFTER = 1.0  # s
_BUSY = frozenset({408, 425, 429})
_FOR_GOOD = frozenset({400, 413, 422})  # for this message; whatever else is no answer of a receiver that works may be mended
_AMBIGUOUS = frozenset({500, 502, 504})  # something behind the answering server may have taken the message
_STEPS = (0.0, 2.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)  # s before the n-th attempt
_LAST_STEP = 3600.0  # s, from then on
HORIZON = 24 * 3600.0  # s after which a notification is given up
JITTER = 0.15  # part of a step, either way


def backoff(attempts: int, chance: float) -> float:
    """Seconds until the next attempt after `attempts` failed ones; `chance` in [0, 1) spreads it."""
    step = _STEPS[attempts] if attempts < len(_STEPS) else _LAST_STEP
    return step * (1 + JITTER * (2 * chance - 1))


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header (a number or a date), kept between 1 s and 15 min; None when it says nothing."""
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        seconds = float(text[:12])
    else:
        try:
            when = parsedate_to_datetime(text)
            seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(seconds, _SHORTEST_RETRY_AFTER), LONGEST_RETRY_AFTER)


def classify(reply: Reply, now: float) -> Outcome | None:
    """The outcome of an answer by its status; None for 2xx, which each kind looks at itself."""
    status = reply.status
    if 200 <= status < 300:
        return None
    if status in _BUSY or status >= 500:
        seconds = retry_after(reply.headers.get("retry-after"), now)
        return RetryAfter(seconds, f"answered {status}", ambiguous=status in _AMBIGUOUS, status=status)
    if status == 410:
        return Refused("answered 410: gone for good", Disable.NOW, status)
    if status in _FOR_GOOD:
        return Refused(f"answered {status}", status=status)
    said = f"answered {status}: redirects are never followed" if 300 <= status < 400 else f"answered {status}"
    return RetryAfter(retry_after(reply.headers.get("retry-after"), now), said, status=status)


def iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
