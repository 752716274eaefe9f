"""Watches the destinations: one that accepts nothing, or has accepted nothing for days, is a trouble that the others are told of.

Locks: the destination's row.  A message about a destination is never itself the reason why another is failing: two that both
refuse would tell of each other for ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from alerts.models import Destination
from alerts.services import in_force
from alerts.services.own_events import append_event
from nodes.engine.enums import EventType
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import TABLE, Scope, event

PATIENCE = timedelta(minutes=5)  # for the oldest message that is due
QUIET = timedelta(days=7)
OF_DESTINATIONS = sorted(kind.value for kind, row in TABLE.items() if row.scope is Scope.DESTINATION)  # event types

_OVERDUE = """
SELECT DISTINCT d.id FROM alerts_destination d
JOIN alerts_notification n ON n.destination_id = d.id
LEFT JOIN alerts_page k ON k.id = n.page_id
LEFT JOIN nodes_event e ON e.id = n.event_id
WHERE d.enabled AND d.removed_at IS NULL AND d.leaving_at IS NULL AND d.failing_since IS NULL
  AND (d.last_success_at IS NULL OR d.last_success_at < %(before)s) AND d.last_failure_at >= %(before)s
  AND n.status IN ('pending', 'leased') AND n.action <> 'test' AND n.attempts > 0
  AND greatest(n.created_at, k.not_before, d.edited_at) < %(before)s
  AND (e.type IS NULL OR NOT e.type = ANY(%(own)s)) AND coalesce(k.subject, '') NOT LIKE 'destination/%%'
"""


def watch(now: datetime) -> None:
    """Find destinations whose oldest message has been due for too long."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, {"before": now - PATIENCE, "own": OF_DESTINATIONS})
        overdue = sorted(row[0] for row in cursor.fetchall())
    for pk in overdue:
        with transaction.atomic():
            destination = Destination.objects.select_for_update(no_key=True).get(pk=pk)
            last = f": {destination.last_failure}" if destination.last_failure else ""
            begin_failing(destination, f"it has accepted nothing for {PATIENCE.total_seconds() / 60:.0f} min{last}", now)
            destination.save(update_fields=["failing_since", "failing_why"])


def watch_quiet(now: datetime) -> None:
    """Find destinations that have accepted nothing for days, and those of which that is no longer true or no longer matters."""
    notified = in_force.load().of_any_rule()
    heard = Coalesce("last_success_at", "created_at")
    silent = Q(pk__in=notified) & Q(heard_at__lt=now - QUIET)
    listed = Destination.objects.filter(removed_at=None).annotate(heard_at=heard)
    for pk in listed.filter(silent, quiet_told=False).order_by("pk").values_list("pk", flat=True):
        _tell_quiet(pk, now, began=True)
    for pk in listed.exclude(silent).filter(quiet_told=True).order_by("pk").values_list("pk", flat=True):
        _tell_quiet(pk, now, began=False)


def _tell_quiet(pk: int, now: datetime, *, began: bool) -> None:
    with transaction.atomic():
        if not Destination.objects.filter(pk=pk, quiet_told=not began).update(quiet_told=began):
            return
        destination = Destination.objects.get(pk=pk)
        if began:
            said = f"{destination.name} has accepted no message for {QUIET.days} days: send it a test message"
            _append(EventType.DESTINATION_QUIET, said, destination, now)
        else:
            _append(
                EventType.DESTINATION_QUIET_ENDED, f"{destination.name} is not quiet any more, or is not notified", destination, now
            )


def begin_failing(destination: Destination, why: str, now: datetime) -> None:
    """Tell the others that it is failing, once; the caller has its row locked and saves `failing_since` and `failing_why`."""
    if destination.failing_since is not None:
        return
    destination.failing_since, destination.failing_why = now, why[:300]
    loud = destination.pk in in_force.load().of_critical_rules()
    said = f"Alerts to {destination.name} do not arrive: {why}"
    _append(EventType.DESTINATION_FAILING, said, destination, now, Stakes(of_critical_rule=loud))


def end_troubles(destination: Destination, why: str, now: datetime) -> None:
    """What lasted of it is over; the caller has its row locked and saves `failing_since`, `failing_why` and `quiet_told`."""
    if destination.failing_since is not None:
        destination.failing_since, destination.failing_why = None, ""
        _append(EventType.DESTINATION_ANSWERS, f"Alerts to {destination.name}: {why}", destination, now)
    if destination.quiet_told:
        destination.quiet_told = False
        _append(EventType.DESTINATION_QUIET_ENDED, f"{destination.name} is quiet no more: {why}", destination, now)


def _append(kind: EventType, message: str, destination: Destination, now: datetime, stakes: Stakes | None = None) -> None:
    detail = {"object": f"destination {destination.name}", "destination": destination.pk}
    append_event(event(kind, message, detail=detail, actor="alerts", stakes=stakes), now)
