"""Keeps a circuit breaker per destination: a dead receiver costs no thread and no lease, and no message is lost for it.

Input: the stored breaker, outcomes of sends.  Output: whether a message may go, the breaker to store, how it changed.
Locks: none of its own; `admit` and `count_outcome` need the destination's row locked, as `claim` and `record` have it.

The breaker is stored in the destination's row as its snapshot, and kept in no process: runners replace each other every
minute, and several hosts send at once.  A restored copy says whether a message may go; the permit is acquired and
reported together once the outcome is known.  So the trial of a half-open circuit is the message's own lease: a
destination has one at a time, whichever host sends, and it expires by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from django.db import transaction

from alerts.delivery import Accepted, Outcome, RetryAfter
from alerts.models import Destination
from nodes.circuit import BreakerPolicy, CallRejectedError, CircuitBreaker, State

_log = logging.getLogger(__name__)

# The wait stays short, for the alert behind it may be urgent; one success closes it.
POLICY = BreakerPolicy(failure_threshold=5, success_threshold=1, timeout=10.0, max_timeout=10.0)
_RATE_LIMITED = frozenset({425, 429})


class Transition(StrEnum):
    """How an outcome changed a circuit."""

    OPENED = "opened"
    REOPENED = "stays open: the trial failed"
    CLOSED = "closed"


_TRANSITIONS = {
    (State.CLOSED, State.OPEN): Transition.OPENED,
    (State.HALF_OPEN, State.OPEN): Transition.REOPENED,
    (State.HALF_OPEN, State.CLOSED): Transition.CLOSED,
    (State.OPEN, State.CLOSED): Transition.CLOSED,  # by a person's test
}


@dataclass(frozen=True, slots=True)
class Circuit:
    """A destination's circuit at one instant: closed when it never `opened_at`, half-open when it waits for no `retry_at`."""

    opened_at: datetime | None  # for the first time since it was closed
    retry_at: datetime | None  # None: a message may go


def circuit_of(stored: Mapping[str, Any] | None, now: datetime) -> Circuit:
    """The circuit of a stored breaker; changes nothing."""
    breaker = _restore(stored, now)
    age = breaker.snapshot()["open_for"]
    opened_at = None if age is None else now - timedelta(seconds=age)
    try:
        breaker.acquire()
    except CallRejectedError as refusal:
        return Circuit(opened_at, now + timedelta(seconds=refusal.retry_after or 0.0))
    return Circuit(opened_at, None)


def admit(destinations: list[int], now: datetime) -> list[int]:
    """Those that a message may go to; the rest are due again when their wait is over.  The caller has their rows locked."""
    stored = Destination.objects.filter(pk__in=destinations).values_list("pk", "breaker")
    waits = {pk: circuit_of(breaker, now).retry_at for pk, breaker in stored if breaker is not None}
    for pk, retry_at in waits.items():
        if retry_at is not None:
            Destination.objects.filter(pk=pk).update(next_send_at=retry_at)
    return [pk for pk in destinations if waits.get(pk) is None]


def count_outcome(destination: Destination, outcome: Outcome, now: datetime, *, by_hand: bool) -> Transition | None:
    """Count an outcome in the breaker of `destination`, whose row the caller has locked and saves; returns how the circuit changed.

    An outcome of what was sent before the circuit opened is too old and changes nothing; but an accepted test by hand
    closes the circuit at once.
    """
    alive = _is_alive(outcome)
    if alive is None:
        return None
    breaker = _restore(destination.breaker, now)
    before = breaker.state
    try:
        permit = breaker.acquire()
    except CallRejectedError:
        if by_hand and alive:
            breaker.reset()
    else:
        (permit.success if alive else permit.failure)()
    destination.breaker = breaker.snapshot()
    transition = _TRANSITIONS.get((before, breaker.state))
    if transition is not None:
        level = logging.WARNING if transition is Transition.OPENED else logging.INFO
        transaction.on_commit(partial(_log.log, level, "circuit of destination %s %s", destination.name, transition.value))
    return transition


def _is_alive(outcome: Outcome) -> bool | None:
    """Whether the outcome is a sign that the destination is alive; None when it says neither.

    A refusal is such a sign, unless the message never left (it has no status then).  A Retry-After is neither: the
    destination's rate honours it already.
    """
    if isinstance(outcome, Accepted):
        return True
    if isinstance(outcome, RetryAfter):
        limited = outcome.seconds is not None or outcome.status in _RATE_LIMITED
        return None if limited or outcome.ours else False
    return None if outcome.status is None else True


def _restore(stored: Mapping[str, Any] | None, now: datetime) -> CircuitBreaker:
    """On the clock of the caller.  A stored breaker that cannot be read, of another version, begins anew: alerts must leave."""
    seconds = now.timestamp()
    fresh = CircuitBreaker(POLICY, clock=lambda: seconds, wall_clock=lambda: seconds)
    if stored is None:
        return fresh
    try:
        return CircuitBreaker.restore(POLICY, stored, clock=lambda: seconds, wall_clock=lambda: seconds)
    except (KeyError, TypeError, ValueError, AttributeError):
        _log.warning("the stored breaker of a destination cannot be read and begins anew")
        return fresh
