"""Leases due messages, one per destination, and records the outcome of each.

Input: notifications that wait, outcomes of sends.  Output: leased messages with their endpoints; attempts and new states.
Locks: the destination's row, then the notification's.  The sending itself happens outside any transaction, between
`claim` and `record`; a process that dies there leaves a lease, and when it ends the message goes out again under the same
id, counted as a repeat.  Within one key messages keep their order: a resolve waits for its trigger.
"""

from __future__ import annotations

import logging
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction

from alerts.delivery import SPACING, Accepted, Disable, Endpoint, Message, Outcome, Payload, Post, Refused, RetryAfter, send
from alerts.delivery.answers import HORIZON, backoff
from alerts.delivery.transport import starting_by
from alerts.models import Alert, Attempt, Destination, Notification
from alerts.rules import Action, Kind
from alerts.services import destination_breaker, destinations
from alerts.services.destination_breaker import Transition
from alerts.services.payloads import humanize
from alerts.services.unreadable import of_destination
from nodes.models.encrypted import EncryptedTextUnreadableError
from nodes.sign_of_life import boot_time

LEASE = 12.0  # s; resolving, sending and reading end after 8
START = 2.0  # s after its lease began in which a message must be on its way to the sender
FIRST_BYTE = 8.0  # s after its lease began by which its first byte must be out: nobody else has it so soon
NOT_FOUND_LIMIT = 3  # answers 404 in a row that disable a destination
_log = logging.getLogger(__name__)

_OPENING = ["trigger", "test"]
_OF_A_RESOLVE = ("destination_id", "alert_id", "incident_id", "event_id", "action", "dedup_key", "severity", "payload")


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that is ours to send until the lease ends."""

    notification: int
    owner: uuid.UUID
    message: Message
    endpoint: Endpoint | None  # None: its secrets cannot be read
    unreadable: str = ""  # why they cannot
    taken_at: float = field(default_factory=boot_time)  # by the boot-time clock, before the lease was committed


# A trigger that was never sent and whose resolve is written, or a message that a later one of the same key replaces.
# Rows that another process leases at this moment are left to it.
_SUPERSEDED = """
UPDATE alerts_notification SET status = 'superseded', outcome = 'superseded before it was sent' WHERE id IN (
    SELECT n.id FROM alerts_notification n
    WHERE n.status = 'pending' AND NOT n.may_have_arrived AND n.action IN ('trigger', 'acknowledge')
      AND EXISTS (SELECT 1 FROM alerts_notification later
                  WHERE later.destination_id = n.destination_id AND later.dedup_key = n.dedup_key AND later.id > n.id
                    AND later.status = 'pending'
                    AND (later.action = 'resolve' OR (n.action = 'trigger' AND later.action = 'trigger')))
    FOR UPDATE OF n SKIP LOCKED)
"""
# A resolve or an acknowledgement of something of which nothing can have arrived.
_NEVER_BEGUN = """
UPDATE alerts_notification SET status = 'superseded', outcome = 'its beginning was never sent' WHERE id IN (
    SELECT n.id FROM alerts_notification n
    WHERE n.status = 'pending' AND n.action IN ('resolve', 'acknowledge') AND NOT n.may_have_arrived
      AND NOT EXISTS (SELECT 1 FROM alerts_notification earlier
                      WHERE earlier.destination_id = n.destination_id AND earlier.dedup_key = n.dedup_key AND earlier.id < n.id
                        AND earlier.action IN ('trigger', 'test')
                        AND (earlier.status IN ('pending', 'leased', 'delivered') OR earlier.may_have_arrived))
    FOR UPDATE OF n SKIP LOCKED)
"""
_TOO_OLD = """
UPDATE alerts_notification
SET may_have_arrived = may_have_arrived OR status = 'leased', status = 'dead',
    outcome = left('given up after 24 h. ' || outcome, 300)
WHERE id IN (
    SELECT n.id FROM alerts_notification n
    WHERE (n.status = 'pending' OR (n.status = 'leased' AND n.lease_until <= %(now)s))
      AND n.created_at < %(now)s - make_interval(secs => %(horizon)s)
    FOR UPDATE OF n SKIP LOCKED)
"""
_READY = """
SELECT d.id FROM alerts_destination d
WHERE d.enabled AND d.removed_at IS NULL AND (d.next_send_at IS NULL OR d.next_send_at <= %(now)s)
  AND EXISTS (SELECT 1 FROM alerts_notification n WHERE n.destination_id = d.id AND n.due_at <= %(now)s
              AND (n.status = 'pending' OR (n.status = 'leased' AND n.lease_until <= %(now)s)))
ORDER BY d.next_send_at NULLS FIRST, d.id LIMIT %(room)s FOR UPDATE OF d SKIP LOCKED
"""
_NEXT = """
SELECT DISTINCT ON (n.destination_id) n.id FROM alerts_notification n
WHERE n.destination_id = ANY(%(destinations)s) AND n.due_at <= %(now)s
  AND (n.status = 'pending' OR (n.status = 'leased' AND n.lease_until <= %(now)s))
  AND NOT EXISTS (SELECT 1 FROM alerts_notification busy WHERE busy.destination_id = n.destination_id
                  AND busy.status = 'leased' AND busy.lease_until > %(now)s)
  AND NOT EXISTS (SELECT 1 FROM alerts_notification earlier WHERE earlier.destination_id = n.destination_id
                  AND earlier.dedup_key = n.dedup_key AND earlier.id < n.id AND earlier.status IN ('pending', 'leased'))
ORDER BY n.destination_id, (n.severity = 'critical') DESC, n.due_at, n.id
"""


def pull_in(now: datetime) -> None:
    """The clock was set back to now: nothing waits for an instant that it was given before."""
    Destination.objects.filter(next_send_at__gt=now).update(next_send_at=now)
    Notification.objects.filter(status=Notification.Status.PENDING, due_at__gt=now).update(due_at=now)
    lease = now + timedelta(seconds=LEASE)
    Notification.objects.filter(status=Notification.Status.LEASED, lease_until__gt=lease).update(lease_until=lease)


def expire_superseded(now: datetime) -> int:
    """Supersede messages that a later one replaces, give up those that are too old; returns how many messages ended."""
    with connection.cursor() as cursor:
        ended = 0
        for query in (_SUPERSEDED, _NEVER_BEGUN, _TOO_OLD):
            cursor.execute(query, {"now": now, "horizon": HORIZON} if query is _TOO_OLD else None)
            ended += cursor.rowcount
    return ended


def claim(now: datetime, *, room: int, owner: uuid.UUID) -> list[Leased]:
    """Lease the next due message of each free destination whose circuit lets it through, `room` of them at the most."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_READY, {"now": now, "room": room})
            ready = destination_breaker.admit([row[0] for row in cursor.fetchall()], now)
            if not ready:
                return []
            # Asked after the lock, so that a lease that another dispatcher has just committed is seen.
            cursor.execute(_NEXT, {"now": now, "destinations": ready})
            following = [row[0] for row in cursor.fetchall()]
        unfinished = Notification.objects.select_for_update(skip_locked=True).filter(
            pk__in=following, status__in=("pending", "leased")
        )
        tried = [_try_to_lease(notification, now, owner) for notification in unfinished.order_by("pk")]
        return [leased for leased in tried if leased is not None]


def _try_to_lease(notification: Notification, now: datetime, owner: uuid.UUID) -> Leased | None:
    """Lease one message; one that cannot be made, say of another version, is given up and takes no other along."""
    try:
        with transaction.atomic():
            return lease(notification, now, owner)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # as above
        _log.exception("notification %s cannot be made", notification.pk)
        said = f"given up, it cannot be made: {type(error).__name__}: {error}"
        Notification.objects.filter(pk=notification.pk).update(status=Notification.Status.DEAD, outcome=said[:300])
        return None


def lease(notification: Notification, now: datetime, owner: uuid.UUID) -> Leased:
    """Make a message `owner`'s to send; the caller has its row locked, or has just written it."""
    lost = notification.status == Notification.Status.LEASED
    if lost:
        notification.may_have_arrived = True
        Attempt.objects.create(
            notification=notification, at=notification.lease_until or now, outcome=Attempt.Outcome.LOST, ambiguous=True,
            message="the sender ended before it recorded an outcome",
        )  # fmt: skip  # one row
    if notification.may_have_arrived:
        notification.repeats += 1
    notification.attempts += int(lost)
    notification.status, notification.lease_owner = Notification.Status.LEASED, owner
    notification.lease_until = now + timedelta(seconds=LEASE)
    notification.save(update_fields=["status", "lease_owner", "lease_until", "may_have_arrived", "repeats", "attempts"])
    return _with_endpoint(notification, now, owner)


def _with_endpoint(notification: Notification, now: datetime, owner: uuid.UUID) -> Leased:
    """The message with the secrets of its destination; the key that opens an alert is kept for its resolve."""
    message = Message(
        message_id=f"msg_{notification.message_id.hex}",
        action=Action(notification.action),
        key=notification.dedup_key,
        sequence=notification.sequence,
        payload=Payload.load(notification.payload),
    )
    try:
        destination = Destination.objects.defer(None).get(pk=notification.destination_id)
        alert = Alert.objects.get(pk=notification.alert_id) if notification.alert_id else None
    except EncryptedTextUnreadableError as error:
        return Leased(notification.pk, owner, message, None, str(error))
    if trouble := of_destination(destination):
        return Leased(notification.pk, owner, message, None, trouble)
    kind = Kind(destination.kind)
    Destination.objects.filter(pk=destination.pk).update(next_send_at=now + timedelta(seconds=SPACING[kind]))
    key = destination.key
    if kind is Kind.PAGERDUTY and alert is not None:
        if not alert.opened_with:
            alert.opened_with = key
            alert.save(update_fields=["opened_with"])
        key = alert.opened_with
    return Leased(notification.pk, owner, message, Endpoint(kind, destination.address, key, destination.base_url))


def send_leased(leased: Leased, post: Post, now: float) -> Outcome:
    """Send outside any transaction; `now` in seconds."""
    if leased.endpoint is None:
        return RetryAfter(None, leased.unreadable, ours=True)
    if boot_time() > leased.taken_at + START:
        return RetryAfter(None, "not sent: this process stood still, and the message may have become another's", ours=True)
    with starting_by(leased.taken_at + FIRST_BYTE):
        return send(leased.message, leased.endpoint, post, now)


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
            _apply_outcome(notification, destination, outcome, now)
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


def _apply_outcome(notification: Notification, destination: Destination, outcome: Outcome, now: datetime) -> None:
    notification.attempts += 1
    notification.lease_owner = notification.lease_until = None
    notification.outcome = "accepted" if isinstance(outcome, Accepted) else outcome.reason[:300]
    if isinstance(outcome, Accepted):
        notification.status, notification.delivered_at = Notification.Status.DELIVERED, now
        destination.last_success_at, destination.not_found = now, 0
    elif isinstance(outcome, RetryAfter):
        _postpone(notification, destination, outcome, now)
    else:
        _refuse(notification, destination, outcome, now)
    if notification.status != Notification.Status.DELIVERED:
        destination.last_failure_at, destination.last_failure = now, notification.outcome
        _forget_key(notification)
    _count_outcome(notification, destination, outcome, now)
    notification.save(
        update_fields=["attempts", "lease_owner", "lease_until", "outcome", "status", "delivered_at", "due_at", "may_have_arrived"]
    )
    destination.save(
        update_fields=[
            "last_success_at",
            "last_failure_at",
            "last_failure",
            "not_found",
            "next_send_at",
            "breaker",
            "enabled",
            "disabled_reason",
        ]
    )


def _postpone(notification: Notification, destination: Destination, outcome: RetryAfter, now: datetime) -> None:
    pause = backoff(notification.attempts, random.random()) if outcome.seconds is None else outcome.seconds
    notification.may_have_arrived |= outcome.ambiguous
    notification.due_at = now + timedelta(seconds=pause)
    if outcome.seconds is not None or outcome.status == 429:  # it limits the rate, whatever the message
        destination.next_send_at = notification.due_at
    if notification.due_at - notification.created_at > timedelta(seconds=HORIZON) or notification.action == Action.TEST:
        notification.status = Notification.Status.DEAD
    else:
        notification.status = Notification.Status.PENDING


def _refuse(notification: Notification, destination: Destination, outcome: Refused, now: datetime) -> None:
    if outcome.disable is Disable.IF_REPEATED and notification.action != Action.TEST:
        destination.not_found += 1
        if destination.not_found < NOT_FOUND_LIMIT:
            _postpone(notification, destination, RetryAfter(None, outcome.reason, status=outcome.status), now)
            return
    notification.status = Notification.Status.DEAD
    gone = outcome.disable is Disable.NOW or (outcome.disable is Disable.IF_REPEATED and destination.not_found >= NOT_FOUND_LIMIT)
    if gone and destination.enabled:
        destination.enabled, destination.disabled_reason = False, outcome.reason[:300]
        text = f"Alerts to {destination.name} are disabled: {outcome.reason}"
        destinations.record_event(text, destination, now, silent=True)


def _count_outcome(notification: Notification, destination: Destination, outcome: Outcome, now: datetime) -> None:
    """Count the outcome in the destination's breaker, and record an event when its circuit opens, another when it closes."""
    opened_at = destination_breaker.circuit_of(destination.breaker, now).opened_at
    transition = destination_breaker.count_outcome(destination, outcome, now, by_hand=notification.action == Action.TEST)
    if not destination.enabled:  # an event says already why nothing goes there
        return
    if transition is Transition.OPENED:
        failed = f"{destination_breaker.POLICY.failure_threshold} sends in a row failed, the last: {notification.outcome}"
        text = f"Alerts to {destination.name} wait: {failed}. Next try in {destination_breaker.POLICY.timeout:.0f} s"
        destinations.record_event(text, destination, now, silent=True)
    elif transition is Transition.CLOSED:
        destination.next_send_at = now + timedelta(seconds=SPACING[Kind(destination.kind)])
        destinations.make_due(destination.pk)
        text = f"Alerts to {destination.name} go out again: it answered after {humanize(now, opened_at or now)}"
        destinations.record_event(text, destination, now, silent=False)


def _forget_key(notification: Notification) -> None:
    """Forget a key by which nothing can have arrived: a corrected one is used at the next attempt."""
    if notification.alert_id is None or notification.may_have_arrived:
        return
    opening = Notification.objects.filter(alert_id=notification.alert_id, action__in=_OPENING).exclude(pk=notification.pk)
    if not opening.filter(delivered_at__isnull=False).exists() and not opening.filter(may_have_arrived=True).exists():
        Alert.objects.filter(pk=notification.alert_id).update(opened_with="")
