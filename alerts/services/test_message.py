"""Sends a test message: a notification like any other, sent while the person who asked for it waits.

Locks: those of `outcomes.record`; none while it sends.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse

from alerts.delivery import Payload, Post
from alerts.delivery.answers import iso
from alerts.models import Destination, Installation, Notification
from alerts.rules import Action, Kind
from alerts.services import dispatch, outcomes

LIMIT = 10  # tests a minute and user
_WINDOW = timedelta(minutes=1)
_ENDS_AFTER = timedelta(minutes=1)  # a test that opened an alert resolves it


class TooManyTestsError(Exception):
    """Ten tests a minute are enough; try again shortly."""


def send_test(destination: Destination, *, actor: str, now: datetime, post: Post) -> Notification:
    """Send a test message and wait for its outcome, 8 s at the most; raises `TooManyTestsError`."""
    recent = Notification.objects.filter(action=Action.TEST, requested_by=actor, created_at__gt=now - _WINDOW)
    if recent.count() >= LIMIT:
        raise TooManyTestsError
    # Without `claim`, and so past an open circuit: after a repair people want to see the result at once, and an accepted test
    # closes the circuit, so that what waits goes out as well.
    leased = dispatch.lease(_write(destination, actor, now), now, uuid.uuid4())
    began = time.monotonic()
    outcome = dispatch.send_leased(leased, post, now.timestamp())
    duration = time.monotonic() - began
    outcomes.record(leased, outcome, began=now, duration=duration, now=now + timedelta(seconds=duration))
    notification = Notification.objects.get(pk=leased.notification)
    if notification.status == Notification.Status.DELIVERED and destination.kind == Kind.PAGERDUTY:
        _resolve(notification)
    return notification


def _write(destination: Destination, actor: str, now: datetime) -> Notification:
    payload = Payload(
        title=f"Test message from the failover console to {destination.name}",
        text=f"Requested by {actor}. Nothing has failed.",
        severity="info",
        at=iso(now.timestamp()),
        url=settings.PUBLIC_URL + reverse("alerts:destinations"),
        console=settings.PUBLIC_URL,
        by=actor,
    )
    return Notification.objects.create(
        destination=destination,
        action=Action.TEST,
        dedup_key=f"{Installation.prefix()}test/{uuid.uuid4().hex}",
        severity=payload.severity,
        payload=payload.stored(),
        requested_by=actor,
        due_at=now,
        created_at=now,
    )


def _resolve(test: Notification) -> None:
    """PagerDuty opened an alert: it is resolved a minute later, long enough to be seen."""
    Notification.objects.create(
        destination_id=test.destination_id,
        action=Action.RESOLVE,
        dedup_key=test.dedup_key,
        severity=test.severity,
        payload=test.payload,
        requested_by=test.requested_by,
        due_at=test.created_at + _ENDS_AFTER,
        created_at=test.created_at,
    )
