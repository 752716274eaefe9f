"""Records what became of a message that was sent: its attempt, its new state, and what that says of its destination.

Locks: the destination's row, then the notification's, as in `dispatch.claim`.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db import transaction

from alerts.delivery import SPACING, Accepted, Disable, Outcome, Refused, RetryAfter
from alerts.delivery.answers import HORIZON, backoff
from alerts.models import Alert, Attempt, Destination, Notification
from alerts.rules import Action, Kind
from alerts.services import destination_breaker, destination_watch, destinations, precedence
from alerts.services.destination_breaker import Transition
from alerts.services.dispatch import Leased
from nodes.engine.enums import Severity

LONGEST_OF_OURS = 60.0  # s until the next try when the fault is the console's own: it may have been mended
LONGEST_UNASKED = 30.0  # s for which a destination pauses that limits its rate and does not say for how long

_OPENING = ["trigger", "test"]
_OF_A_RESOLVE = ("destination_id", "alert_id", "incident_id", "event_id", "action", "dedup_key", "severity", "payload")


def record(leased: Leased, outcome: Outcome, *, began: datetime, duration: float, now: datetime) -> int | None:
    """Write what became of a message; returns the pool of its incident, to hint the browsers about."""
    with transaction.atomic():
        # The destination first, as in `claim`: one order of locks.
        destination_id = Notification.objects.values_list("destination_id", flat=True).get(pk=leased.notification)
        destination = Destination.objects.select_for_update().get(pk=destination_id)
        notification = Notification.objects.select_for_update().get(pk=leased.notification)
        still_leased = notification.status == Notification.Status.LEASED and notification.lease_owner == leased.owner
        _record_attempt(notification, outcome, began, duration)
        if still_leased:
            _apply_outcome(notification, destination, outcome, leased.host, now)
        elif isinstance(outcome, Accepted) and notification.action in _OPENING:
            _resolve_again(notification, now)
        incident = notification.incident
        return incident.pool_id if incident else None


def _resolve_again(late: Notification, now: datetime) -> None:
    """A trigger that was accepted after its lease was over may have opened again what was resolved meanwhile."""
    same = Notification.objects.filter(destination_id=late.destination_id, dedup_key=late.dedup_key, action=Action.RESOLVE)
    resolve = same.order_by("-sequence").first()
    if resolve is None or same.filter(status=Notification.Status.PENDING).exists():
        return  # none is written, or the one that is comes after this
    same_words = {name: getattr(resolve, name) for name in _OF_A_RESOLVE}
    Notification.objects.create(**same_words, sequence=resolve.sequence + 1, due_at=now, created_at=now)


def _record_attempt(notification: Notification, outcome: Outcome, began: datetime, duration: float) -> None:
    Attempt.objects.create(
        notification=notification,
        at=began,
        outcome=_attempt_outcome(outcome),
        ambiguous=isinstance(outcome, RetryAfter) and outcome.ambiguous,
        status_code=outcome.status,
        message="" if isinstance(outcome, Accepted) else outcome.reason[:300],
        duration=duration,
    )


def _attempt_outcome(outcome: Outcome) -> str:
    if isinstance(outcome, Accepted):
        return Attempt.Outcome.ACCEPTED
    return Attempt.Outcome.RETRY if isinstance(outcome, RetryAfter) else Attempt.Outcome.REFUSED


def _apply_outcome(notification: Notification, destination: Destination, outcome: Outcome, host: str, now: datetime) -> None:
    notification.attempts += 1
    notification.lease_owner = notification.lease_until = None
    notification.outcome = "accepted" if isinstance(outcome, Accepted) else outcome.reason[:300]
    if isinstance(outcome, Accepted):
        notification.status, notification.delivered_at = Notification.Status.DELIVERED, now
        destination.last_success_at = now
        destination_watch.end_troubles(destination, "it accepted a message", now)
    elif isinstance(outcome, RetryAfter):
        _postpone(notification, destination, outcome, now)
    else:
        notification.status = Notification.Status.DEAD
    if notification.status != Notification.Status.DELIVERED:
        destination.last_failure_at, destination.last_failure = now, notification.outcome
        _forget_key(notification)
    _count_outcome(notification, destination, outcome, host, now)
    if isinstance(outcome, Refused) and outcome.disable is Disable.NOW and destination.enabled:
        destinations.disable(destination, outcome.reason, now)
    elif notification.status == Notification.Status.DEAD and _is_missed(notification):
        destination_watch.begin_failing(destination, f"a critical message was given up: {notification.outcome}", now)
    notification.save(
        update_fields=["attempts", "lease_owner", "lease_until", "outcome", "status", "delivered_at", "due_at", "may_have_arrived"]
    )
    destination.save(update_fields=_LEARNT)


_LEARNT = [
    "last_success_at", "last_failure_at", "last_failure", "next_send_at", "breaker", "enabled", "disabled_reason",
    "unreachable_from", "failing_since", "failing_why", "quiet_told",
]  # fmt: skip  # what an outcome teaches about a destination


def _is_missed(notification: Notification) -> bool:
    """Whether somebody should have been woken by it; what tells of another destination is no reason to tell of this one."""
    if notification.severity != Severity.CRITICAL.value or notification.action not in (Action.TRIGGER, Action.INFO):
        return False
    if notification.alert is not None and notification.alert.subject.startswith("destination/"):
        return False
    return notification.event is None or notification.event.type not in destination_watch.OF_DESTINATIONS


def _postpone(notification: Notification, destination: Destination, outcome: RetryAfter, now: datetime) -> None:
    pause = backoff(notification.attempts, random.random()) if outcome.seconds is None else outcome.seconds
    if outcome.ours:
        pause = min(pause, LONGEST_OF_OURS)
    if outcome.status == 429:
        pause = min(pause, LONGEST_UNASKED) if outcome.seconds is None else pause
    notification.may_have_arrived |= outcome.ambiguous
    notification.due_at = now + timedelta(seconds=pause)
    if outcome.seconds is not None or outcome.status == 429:  # it limits the rate, whatever the message
        destination.next_send_at = notification.due_at
    if notification.due_at - notification.created_at > timedelta(seconds=HORIZON) or notification.action == Action.TEST:
        notification.status = Notification.Status.DEAD
    else:
        notification.status = Notification.Status.PENDING


def _count_outcome(notification: Notification, destination: Destination, outcome: Outcome, host: str, now: datetime) -> None:
    """Count the outcome in the destination's breaker; while its circuit is open this message is the trial that comes next."""
    destination.unreachable_from = precedence.noted(destination.unreachable_from, host, outcome, now.timestamp())
    if precedence.is_connection_error(outcome):
        living = precedence.living_hosts() - {host}
        if living and not precedence.all_failed(destination.unreachable_from, living | {host}, now.timestamp()):
            return  # another host may reach it
    by_hand = notification.action == Action.TEST
    transition = destination_breaker.count_outcome(destination, outcome, now, by_hand=by_hand)
    retry_at = destination_breaker.circuit_of(destination.breaker, now).retry_at
    if retry_at is not None:
        notification.due_at = min(notification.due_at, retry_at)
    if transition is Transition.CLOSED:
        destination.next_send_at = now + timedelta(seconds=SPACING[Kind(destination.kind)])
        destinations.make_due(destination.pk)


def _forget_key(notification: Notification) -> None:
    """Forget a key by which nothing can have arrived: a corrected one is used at the next attempt."""
    if notification.alert_id is None or notification.may_have_arrived:
        return
    opening = Notification.objects.filter(alert_id=notification.alert_id, action__in=_OPENING).exclude(pk=notification.pk)
    if not opening.filter(delivered_at__isnull=False).exists() and not opening.filter(may_have_arrived=True).exists():
        Alert.objects.filter(pk=notification.alert_id).update(opened_with="")
