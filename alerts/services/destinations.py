"""Changes a destination outside a delivery: records events about it, makes waiting messages due, enables, edits, removes it.

Locks: the destination's row, then its notifications.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from alerts.models import Alert, Destination, Notification
from alerts.services.own_events import append_event
from nodes.engine.enums import EventType
from nodes.engine.event_types import Stakes, event


def record_event(message: str, destination: Destination, now: datetime, *, silent: bool) -> None:
    """Write an event about a destination to the history; `silent`: it receives nothing for now, so the others are notified.

    No event of breakers: those are of nodes, and the reports count them.
    """
    detail = {"object": f"destination {destination.name}", "destination": destination.pk}
    recorded = event(EventType.CONFIG_CHANGED, message, detail=detail, actor="alerts", stakes=Stakes(silences=silent))
    append_event(recorded, now)


def make_due(destination_id: int) -> None:
    """Make the messages that failed while it was away due at once, in the order in which they were written."""
    failed = Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, attempts__gt=0)
    failed.update(due_at=F("created_at"))


def on_enabled(destination_id: int, now: datetime) -> None:
    """Forget why it was disabled; what waits for it is due at once."""
    with transaction.atomic():
        Destination.objects.filter(pk=destination_id).update(disabled_reason="", not_found=0, next_send_at=None, breaker=None)
        Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, due_at__gt=now).update(
            due_at=now
        )


def on_endpoint_changed(destination_id: int) -> None:
    """Forget what was learnt at its former address or key: the new one may well be accepted."""
    Destination.objects.filter(pk=destination_id).update(not_found=0, next_send_at=None, breaker=None)
    make_due(destination_id)


def remove(destination_id: int, now: datetime) -> bool:
    """Send nothing more there and forget its secrets; what was sent stays in the history.  False when it was removed already."""
    with transaction.atomic():
        found = Destination.objects.select_for_update().filter(pk=destination_id, removed_at=None).values_list("pk", flat=True)
        if not found:
            return False
        Destination.objects.filter(pk=destination_id).update(removed_at=now, enabled=False, address="", key="")
        Alert.objects.filter(destination_id=destination_id).update(opened_with="")
        unfinished = Notification.objects.filter(
            destination_id=destination_id, status__in=(Notification.Status.PENDING, Notification.Status.LEASED)
        )
        unfinished.update(status=Notification.Status.DEAD, outcome="its destination was removed")
    return True
