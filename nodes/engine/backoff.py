"""How long a breaker waits before its next trial.  Seconds; chance is given in."""

from __future__ import annotations

from nodes.engine.types import BreakerPolicy

DEFAULT_MAX_TIMEOUT = 300.0  # s, cap of a breaker's wait unless its timeout is longer


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
