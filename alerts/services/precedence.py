"""Which host sends to a destination: one that cannot reach it gives way for a while to another that may.

Pure but for `living_hosts`; what is remembered stands in the destination's row: host -> [errors in a row, instant of the last].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from alerts.delivery import Outcome, RetryAfter
from nodes.ledger.leases import ALIVE

MOST_ERRORS = 2  # connection errors in a row after which a host gives way
PRECEDENCE = 600.0  # s for which it does

Unreachable = Mapping[str, Any]

_HOSTS = f"SELECT DISTINCT host FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE}"


def living_hosts() -> frozenset[str]:
    """The hosts with an alert runner that lives."""
    with connection.cursor() as cursor:
        cursor.execute(_HOSTS)
        return frozenset(row[0] for row in cursor.fetchall())


def is_connection_error(outcome: Outcome) -> bool:
    """Whether nobody answered, and the fault is not the console's own."""
    return isinstance(outcome, RetryAfter) and outcome.status is None and not outcome.ours


def noted(unreachable: Unreachable, host: str, outcome: Outcome, now: float) -> dict[str, Any]:
    """What is remembered after this outcome: any answer forgets the host's errors."""
    if is_connection_error(outcome):
        return {**unreachable, host: [_errors(unreachable, host, now) + 1, now]}
    answered = not isinstance(outcome, RetryAfter) or outcome.status is not None
    return {name: found for name, found in unreachable.items() if name != host} if answered else dict(unreachable)


def gives_way(unreachable: Unreachable, host: str, living: frozenset[str], now: float) -> bool:
    """Whether this host leaves the destination to another living one, which has not failed there."""
    return _failed(unreachable, host, now) and any(not _failed(unreachable, each, now) for each in living - {host})


def all_failed(unreachable: Unreachable, living: frozenset[str], now: float) -> bool:
    """Whether no living host reaches it."""
    return all(_failed(unreachable, each, now) for each in living)


def _failed(unreachable: Unreachable, host: str, now: float) -> bool:
    return _errors(unreachable, host, now) >= MOST_ERRORS


def _errors(unreachable: Unreachable, host: str, now: float) -> int:
    """Errors in a row; 0 when the last is long ago or lies ahead, or is of another version."""
    try:
        errors, at = unreachable[host]
        return int(errors) if 0 <= now - float(at) < PRECEDENCE else 0
    except (KeyError, TypeError, ValueError):
        return 0
