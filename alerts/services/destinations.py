"""Changes a destination outside a delivery: enables, disables, edits, removes it, makes what waits for it due.

Locks: the router's, where keys change; then the destination's row, then its notifications.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F

from alerts.delivery import Payload
from alerts.models import Alert, Destination, Notification
from alerts.rules import Action, destinations_of
from alerts.services import destination_watch, in_force
from alerts.services.own_events import append_event
from alerts.services.payloads import leaving_payload
from alerts.services.routing import ROUTING_LOCK
from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import event

LONGEST_LEAVING = timedelta(hours=1)

_UNFINISHED = (Notification.Status.PENDING, Notification.Status.LEASED)


class OnlyOneError(Exception):
    """A rule for critical events notifies no other enabled destination: what it selects would wake nobody any more."""


def _record(message: str, destination: Destination, now: datetime, actor: str = "alerts") -> None:
    detail = {"object": f"destination {destination.name}", "destination": destination.pk}
    append_event(event(EventType.CONFIG_CHANGED, message, detail=detail, actor=actor), now)


def make_due(destination_id: int) -> None:
    """Make the messages that failed while it was away due at once, in the order in which they were written."""
    failed = Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, attempts__gt=0)
    failed.update(due_at=F("created_at"))


def disable(destination: Destination, reason: str, now: datetime) -> None:
    """Its own answer says that it is gone for good; the caller has its row locked and saves it."""
    destination.enabled, destination.disabled_reason = False, reason[:300]
    _record(f"Alerts to {destination.name} are disabled: {reason}", destination, now)
    destination_watch.begin_failing(destination, f"it is disabled: {reason}", now)


def on_enabled(destination_id: int, now: datetime) -> None:
    """Forget why it was disabled; what waits for it is due at once."""
    with transaction.atomic():
        Destination.objects.filter(pk=destination_id).update(
            disabled_reason="", next_send_at=None, breaker=None, unreachable_from={}, edited_at=now
        )
        waiting = Notification.objects.filter(destination_id=destination_id, status=Notification.Status.PENDING, due_at__gt=now)
        waiting.exclude(alert__not_before__gt=now).update(due_at=now)


def on_disabled(destination_id: int, now: datetime) -> None:
    """A person knows that nothing goes there."""
    with transaction.atomic():
        destination = Destination.objects.select_for_update(no_key=True).get(pk=destination_id)
        destination_watch.end_troubles(destination, "a person disabled it", now)
        destination.edited_at = now
        destination.save(update_fields=["failing_since", "failing_why", "quiet_told", "edited_at"])


def on_endpoint_changed(destination_id: int, now: datetime) -> None:
    """Forget what was learnt at its former address or key: the new one may well be accepted."""
    Destination.objects.filter(pk=destination_id).update(next_send_at=None, breaker=None, unreachable_from={}, edited_at=now)
    make_due(destination_id)


# Removal --------------------------------------------------------------------------------------------------------------


def leave(destination_id: int, now: datetime, *, actor: str, although_only: bool = False) -> bool:
    """Begin nothing more there; each open key is resolved, then it is removed.  False when it leaves or left already.

    Raises `OnlyOneError` while it is the only enabled one of a rule for critical events, unless that is asked for.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROUTING_LOCK])  # no key may be opened meanwhile
        destination = Destination.objects.select_for_update().filter(pk=destination_id, removed_at=None, leaving_at=None).first()
        if destination is None:
            return False
        if is_only_one(destination_id) and not although_only:
            raise OnlyOneError
        destination_watch.end_troubles(destination, "it is removed", now)
        destination.leaving_at, destination.leaving_by = now, actor
        destination.save(update_fields=["leaving_at", "leaving_by", "failing_since", "failing_why", "quiet_told"])
        never_sent = Notification.objects.filter(
            destination_id=destination_id,
            status=Notification.Status.PENDING,
            may_have_arrived=False,
            action__in=(Action.TRIGGER, Action.INFO, Action.ACKNOWLEDGE),
        )
        never_sent.update(status=Notification.Status.SUPERSEDED, outcome="its destination is removed")
        for alert in (
            Alert.objects.filter(destination_id=destination_id, resolved_at=None).select_related("incident").defer("opened_with")
        ):
            _say_goodbye(destination, alert, now)
    finish_leaving(now)
    return True


def is_only_one(destination_id: int) -> bool:
    """Whether some rule for critical events would notify nobody without it."""
    now = in_force.load()
    loud = [rule for rule in now.rules if Severity.CRITICAL in rule.severities]
    return any(destinations_of(rule, now.enabled) == {destination_id} for rule in loud)


def _say_goodbye(destination: Destination, alert: Alert, now: datetime) -> None:
    first = alert.notifications.order_by("pk").first()
    Notification.objects.create(
        destination=destination,
        alert=alert,
        incident_id=alert.incident_id,
        action=Action.RESOLVE,
        sequence=alert.resolves + 1,
        dedup_key=alert.dedup_key,
        severity=alert.severity,
        payload=leaving_payload(Payload.load(first.payload if first else {}).title, alert.incident, now, alert.severity).stored(),
        due_at=now,
        created_at=now,
    )
    Alert.objects.filter(pk=alert.pk).update(resolved_at=now, resolves=alert.resolves + 1)


def finish_leaving(now: datetime) -> None:
    """Remove the destinations that leave and were told all, or had an hour for it, or are disabled; secrets are forgotten."""
    for pk in Destination.objects.filter(removed_at=None).exclude(leaving_at=None).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            destination = Destination.objects.select_for_update().get(pk=pk)
            if destination.removed_at is None and destination.leaving_at is not None:
                _finish(destination, destination.leaving_at, now)


def _finish(destination: Destination, since: datetime, now: datetime) -> None:
    unfinished = Notification.objects.filter(destination=destination, status__in=_UNFINISHED)
    if destination.enabled and now < since + LONGEST_LEAVING and unfinished.exists():
        return
    left_open = sorted(unfinished.filter(action=Action.RESOLVE).values_list("dedup_key", flat=True))
    unfinished.update(status=Notification.Status.DEAD, outcome="its destination was removed")
    Destination.objects.filter(pk=destination.pk).update(removed_at=now, enabled=False, address="", key="")
    Alert.objects.filter(destination=destination).update(opened_with="")
    rest = f"; left open there: {', '.join(left_open)}" if left_open else ""
    _record(f"Destination {destination.name} is removed{rest}", destination, now, destination.leaving_by or "alerts")
