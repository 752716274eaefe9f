"""How long to wait: a breaker before its next trial, a delivery before its next attempt.  Seconds; chance is given in."""

from __future__ import annotations

from nodes.engine.types import BreakerPolicy

DEFAULT_MAX_TIMEOUT = 300.0  # s, cap of a breaker's wait unless its timeout is longer
RETRY_FIRST = 2.0  # s, upper end of the delay before the second attempt
RETRY_MAX = 900.0  # s


def longest_wait(policy: BreakerPolicy) -> float:
    """The cap in force of a breaker's wait."""
    return max(DEFAULT_MAX_TIMEOUT, policy.timeout) if policy.max_timeout is None else policy.max_timeout


def open_wait(policy: BreakerPolicy, reopened: int, random: float = 0.0) -> float:
    """Seconds that a breaker stays open after its `reopened`-th reopening; `random` in 0..1 adds its part of the jitter."""
    cap = longest_wait(policy)
    try:
        wait = policy.timeout * policy.timeout_multiplier**reopened
    except OverflowError:
        wait = cap if policy.timeout else 0.0
    return min(cap, wait * (1.0 + policy.jitter * random))


def retry_delay(attempt: int, random: float) -> float:
    """Full jitter: seconds before attempt `attempt` + 1 (the first attempt is 1), anywhere between 0 and a doubling bound."""
    doublings = min(max(attempt - 1, 0), 16)
    return random * min(RETRY_MAX, RETRY_FIRST * 2.0**doublings)
