"""Puts a message that was given up back in line, when a person asks for it.

Locks: the destination's row, then the notification's.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from alerts.models import Destination, Notification
from alerts.rules import Action


class NotResentError(Exception):
    """Why this message is not sent again, in a sentence."""


def resend(notification_id: int, *, actor: str, now: datetime) -> None:
    """Make the message due again, with a new day to arrive in; raises `NotResentError`."""
    with transaction.atomic():
        # The destination first, as everywhere: one order of locks.
        destination_id = Notification.objects.values_list("destination_id", flat=True).get(pk=notification_id)
        destination = Destination.objects.select_for_update().get(pk=destination_id)
        notification = (
            Notification.objects.select_for_update(of=("self",))
            .select_related("incident", "alert")
            .defer("alert__opened_with")
            .get(pk=notification_id)
        )
        if reason := _refusal(notification, destination):
            raise NotResentError(reason)
        notification.status, notification.due_at, notification.created_at = Notification.Status.PENDING, now, now
        notification.requested_by, notification.outcome = actor, f"to be sent again, requested by {actor}"
        notification.save(update_fields=["status", "due_at", "created_at", "requested_by", "outcome"])


def _refusal(notification: Notification, destination: Destination) -> str:
    """Why it may not be sent again; empty when it may."""
    if notification.status != Notification.Status.DEAD:
        return f"It was not given up: it is {notification.get_status_display()}."
    if notification.action == Action.TEST:
        return "Send a new test message from the page of destinations."
    if destination.removed_at is not None or destination.leaving_at is not None:
        return f"{destination.name} was removed."
    if not destination.enabled:
        return f"{destination.name} is disabled: enable it in the admin first."
    if notification.action == Action.TRIGGER and notification.alert is not None and notification.alert.resolved_at is not None:
        return "Its key is resolved and is not used again; what goes on is told by a new key within a minute."
    over = notification.incident is not None and notification.incident.closed_at is not None
    if over and notification.action == Action.TRIGGER:
        return "Its incident is over; an alert now would wake somebody for nothing."
    return ""
