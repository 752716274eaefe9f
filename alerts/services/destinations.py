"""What becomes of destinations: switched on again, taken out."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from alerts.models import Destination, Notification, Page


def switched_on(destination_id: int, now: datetime) -> None:
    """Forget why it was switched off; what waits for it is due at once."""
    with transaction.atomic():
        Destination.objects.filter(pk=destination_id).update(disabled_reason="", not_found=0, next_send_at=None)
        Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, due_at__gt=now).update(
            due_at=now
        )


def remove(destination_id: int, now: datetime) -> bool:
    """Send nothing more there and forget its secrets; what was sent stays in the history.  False when it was removed already."""
    with transaction.atomic():
        found = Destination.objects.select_for_update().filter(pk=destination_id, removed_at=None).values_list("pk", flat=True)
        if not found:
            return False
        Destination.objects.filter(pk=destination_id).update(removed_at=now, enabled=False, address="", key="")
        Page.objects.filter(destination_id=destination_id).update(opened_with="")
        unfinished = Notification.objects.filter(
            destination_id=destination_id, status__in=(Notification.Status.PENDING, Notification.Status.LEASED)
        )
        unfinished.update(status=Notification.Status.DEAD, outcome="its destination was removed")
    return True
