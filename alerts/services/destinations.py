"""What becomes of destinations: told in the history, at hand again, switched on again, moved, taken out."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.db.models import F
from psycopg.rows import dict_row

from alerts.models import Alert, Destination, Notification
from nodes.engine.enums import EventType
from nodes.engine.event_types import Stakes, event
from nodes.ledger.history import append
from nodes.ledger.rows import Cursor


def tell(message: str, destination: Destination, now: datetime, *, silent: bool) -> None:
    """An event of the history; `silent`, the destination gets nothing for now, and the other ones tell it to the people on call.

    No event of breakers: those are of nodes, and the reports count them.
    """
    detail = {"object": f"destination {destination.name}", "destination": destination.pk}
    told = event(EventType.CONFIG_CHANGED, message, detail=detail, actor="alerts", stakes=Stakes(silences=silent))
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        append(cursor, told, now.timestamp())


def flush(destination_id: int) -> None:
    """What failed while it was away is due at once, in the order of its writing: what it waited for is over."""
    failed = Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, attempts__gt=0)
    failed.update(due_at=F("created_at"))


def switched_on(destination_id: int, now: datetime) -> None:
    """Forget why it was switched off; what waits for it is due at once."""
    with transaction.atomic():
        Destination.objects.filter(pk=destination_id).update(disabled_reason="", not_found=0, next_send_at=None, breaker=None)
        Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, due_at__gt=now).update(
            due_at=now
        )


def moved(destination_id: int) -> None:
    """Forget what was learnt at its former address: the new one may well answer."""
    Destination.objects.filter(pk=destination_id).update(not_found=0, next_send_at=None, breaker=None)
    flush(destination_id)


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
