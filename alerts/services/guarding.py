"""The circuit breaker of a destination: a dead receiver costs no thread and no lease, and no message is lost for it.

The breaker lives in the destination's row as its snapshot, and in no process: runners take turns every minute, several
hosts send at once, and the lock of that row, which `claim` and `record` hold anyway, is what they have in common.  A copy
of it says whether a message may go; leave is asked and reported in one go once the outcome is known.  So the trial of a
half-open circuit is the message's own lease: a destination has one at a time, whoever sends, and it lapses by itself.
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

# The wait doubles with each trial that fails, up to a minute, for the page behind it may be urgent; an accepted message closes it.
POLICY = BreakerPolicy(failure_threshold=5, success_threshold=1, timeout=15.0, timeout_multiplier=2.0, max_timeout=60.0)
_ASKS_FOR_QUIET = frozenset({425, 429})


class Turn(StrEnum):
    """How an outcome turned a circuit."""

    OPENED = "opened"
    REOPENED = "stays open: the trial failed"
    CLOSED = "closed"


_TURNS = {
    (State.CLOSED, State.OPEN): Turn.OPENED,
    (State.HALF_OPEN, State.OPEN): Turn.REOPENED,
    (State.HALF_OPEN, State.CLOSED): Turn.CLOSED,
    (State.OPEN, State.CLOSED): Turn.CLOSED,  # by a person's test
}


@dataclass(frozen=True, slots=True)
class Circuit:
    """A destination's circuit at one instant: closed when it never `opened_at`, half-open when it waits for no `retry_at`."""

    opened_at: datetime | None  # for the first time since it was closed
    retry_at: datetime | None  # None: a message may go


def look(stored: Mapping[str, Any] | None, now: datetime) -> Circuit:
    """The circuit of a stored breaker; changes nothing."""
    breaker = _restored(stored, now)
    age = breaker.snapshot()["open_for"]
    opened_at = None if age is None else now - timedelta(seconds=age)
    try:
        breaker.acquire()
    except CallRejectedError as refusal:
        return Circuit(opened_at, now + timedelta(seconds=refusal.retry_after or 0.0))
    return Circuit(opened_at, None)


def admitted(destinations: list[int], now: datetime) -> list[int]:
    """Those that a message may go to; the rest are asked again when their wait is over.  The caller holds their rows."""
    stored = Destination.objects.filter(pk__in=destinations).values_list("pk", "breaker")
    waits = {pk: look(breaker, now).retry_at for pk, breaker in stored if breaker is not None}
    for pk, retry_at in waits.items():
        if retry_at is not None:
            Destination.objects.filter(pk=pk).update(next_send_at=retry_at)
    return [pk for pk in destinations if waits.get(pk) is None]


def count(destination: Destination, outcome: Outcome, now: datetime, *, by_hand: bool) -> Turn | None:
    """Count an outcome in the breaker of `destination`, whose row the caller holds and saves; says how the circuit turned.

    What was sent before the circuit opened answers an older state and changes nothing; but somebody who tests it by hand
    and sees it accepted need not wait.
    """
    answers = _answers(outcome)
    if answers is None:
        return None
    breaker = _restored(destination.breaker, now)
    before = breaker.state
    try:
        permit = breaker.acquire()
    except CallRejectedError:
        if by_hand and answers:
            breaker.reset()
    else:
        (permit.success if answers else permit.failure)()
    destination.breaker = breaker.snapshot()
    turn = _TURNS.get((before, breaker.state))
    if turn is not None:
        said = logging.WARNING if turn is Turn.OPENED else logging.INFO
        transaction.on_commit(partial(_log.log, said, "circuit of destination %s %s", destination.name, turn.value))
    return turn


def _answers(outcome: Outcome) -> bool | None:
    """Whether the destination is there to answer; None when this outcome does not tell.

    A refusal is an answer, unless the message never left (it has no status then), and so is a wish for quiet, which is
    honoured by itself: the circuit need not know of it.
    """
    if isinstance(outcome, Accepted):
        return True
    if isinstance(outcome, RetryAfter):
        quiet = outcome.seconds is not None or outcome.status in _ASKS_FOR_QUIET
        return None if quiet or outcome.ours else False
    return None if outcome.status is None else True


def _restored(stored: Mapping[str, Any] | None, now: datetime) -> CircuitBreaker:
    """On the clock of the caller.  One that cannot be read, of another version, begins anew: alerts must leave."""
    seconds = now.timestamp()
    fresh = CircuitBreaker(POLICY, clock=lambda: seconds, wall_clock=lambda: seconds)
    if stored is None:
        return fresh
    try:
        return CircuitBreaker.restore(POLICY, stored, clock=lambda: seconds, wall_clock=lambda: seconds)
    except (KeyError, TypeError, ValueError, AttributeError):
        _log.warning("the stored breaker of a destination cannot be read and begins anew")
        return fresh
