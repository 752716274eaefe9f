"""A message that was given up, on its way once more."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from alerts.models import Destination, Notification
from alerts.rules import Action


class NotAgainError(Exception):
    """Why this message is not sent again, in a sentence."""


def send_again(notification_id: int, *, actor: str, now: datetime) -> None:
    """Put a message that was given up back in line, with a new day to arrive in; raises `NotAgainError`."""
    with transaction.atomic():
        # The destination first, as everywhere: one order of locks.
        place = Notification.objects.values_list("destination_id", flat=True).get(pk=notification_id)
        destination = Destination.objects.select_for_update().get(pk=place)
        notification = Notification.objects.select_for_update(of=("self",)).select_related("incident").get(pk=notification_id)
        if trouble := _trouble(notification, destination):
            raise NotAgainError(trouble)
        notification.status, notification.due_at, notification.created_at = Notification.Status.PENDING, now, now
        notification.requested_by, notification.outcome = actor, f"asked for again by {actor}"
        notification.save(update_fields=["status", "due_at", "created_at", "requested_by", "outcome"])


def _trouble(notification: Notification, destination: Destination) -> str:
    if notification.status != Notification.Status.DEAD:
        return f"It was not given up: it is {notification.get_status_display()}."
    if notification.action == Action.TEST:
        return "Send a new test message from the page of destinations."
    if destination.removed_at is not None:
        return f"{destination.name} was removed."
    if not destination.enabled:
        return f"{destination.name} is switched off: switch it on in the admin first."
    over = notification.incident is not None and notification.incident.closed_at is not None
    if over and notification.action == Action.TRIGGER:
        return "Its incident is over; a page now would wake somebody for nothing."
    return ""
