"""Leases due messages, one per destination, and sends them; `outcomes` records what became of each.

Input: notifications that wait.  Output: leased messages with their endpoints.
Locks: the destination's row, then the notification's.  The sending itself happens outside any transaction, between
`claim` and `outcomes.record`; a process that dies there leaves a lease, and when it ends the message goes out again under the same
id, counted as a repeat.  Within one key messages keep their order: a resolve waits for its trigger.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction

from alerts.delivery import SPACING, Endpoint, Message, Outcome, Payload, Post, RetryAfter, send
from alerts.delivery.answers import HORIZON
from alerts.delivery.transport import starting_by
from alerts.models import Alert, Attempt, Destination, Notification
from alerts.rules import Action, Kind
from alerts.services import destination_breaker, precedence
from alerts.services.unreadable import of_destination
from nodes.models.encrypted import EncryptedTextUnreadableError
from nodes.sign_of_life import boot_time

LEASE = 12.0  # s; resolving, sending and reading end after 8
START = 2.0  # s after its lease began in which a message must be on its way to the sender
FIRST_BYTE = 8.0  # s after its lease began by which its first byte must be out: nobody else has it so soon
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that is ours to send until the lease ends."""

    notification: int
    owner: uuid.UUID
    message: Message
    endpoint: Endpoint | None  # None: its secrets cannot be read
    unreadable: str = ""  # why they cannot
    host: str = ""  # that sends it
    taken_at: float = field(default_factory=boot_time)  # by the boot-time clock, before the lease was committed


# A trigger that was never sent and whose resolve is written, or a message that a later one of the same key replaces.  A receiver
# that knows keys is not sent again what may have arrived and is over: its resolve is enough, and another trigger would ring.
# Rows that another process leases at this moment are left to it.
_SUPERSEDED = """
UPDATE alerts_notification SET may_have_arrived = may_have_arrived OR status = 'leased', status = 'superseded',
    outcome = 'superseded by a later message'
WHERE id IN (
    SELECT n.id FROM alerts_notification n JOIN alerts_destination d ON d.id = n.destination_id
    WHERE (n.status = 'pending' OR (n.status = 'leased' AND n.lease_until <= %(now)s AND d.kind <> 'slack'))
      AND n.action IN ('trigger', 'acknowledge')
      AND EXISTS (SELECT 1 FROM alerts_notification later
                  WHERE later.destination_id = n.destination_id AND later.dedup_key = n.dedup_key AND later.id > n.id
                    AND later.status = 'pending'
                    AND ((later.action = 'resolve' AND (NOT n.may_have_arrived OR d.kind <> 'slack'))
                         OR (n.action = 'trigger' AND later.action = 'trigger' AND NOT n.may_have_arrived
                             AND n.status = 'pending')))
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
            cursor.execute(query, {"now": now, "horizon": HORIZON})
            ended += cursor.rowcount
    return ended


def claim(now: datetime, *, room: int, owner: uuid.UUID, host: str = "") -> list[Leased]:
    """Lease the next due message of each free destination whose circuit lets it through, `room` of them at the most.

    What `host` could not reach is left to another one that may.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_READY, {"now": now, "room": room})
            free = _of_this_host([row[0] for row in cursor.fetchall()], host, now)
            ready = destination_breaker.admit(free, now)
            if not ready:
                return []
            # Asked after the lock, so that a lease that another dispatcher has just committed is seen.
            cursor.execute(_NEXT, {"now": now, "destinations": ready})
            following = [row[0] for row in cursor.fetchall()]
        unfinished = Notification.objects.select_for_update(skip_locked=True).filter(
            pk__in=following, status__in=("pending", "leased")
        )
        tried = [_try_to_lease(notification, now, owner) for notification in unfinished.order_by("pk")]
        return [replace(leased, host=host) for leased in tried if leased is not None]


def _of_this_host(destinations: list[int], host: str, now: datetime) -> list[int]:
    """Those that this host does not leave to another."""
    remembered = Destination.objects.filter(pk__in=destinations).exclude(unreachable_from={})
    unreachable = dict(remembered.values_list("pk", "unreachable_from"))
    if not unreachable:
        return destinations
    living = precedence.living_hosts()
    return [pk for pk in destinations if not precedence.gives_way(unreachable.get(pk, {}), host, living, now.timestamp())]


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
