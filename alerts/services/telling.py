"""Decides about events that concern each other, and writes what is told: keys and notifications.

Locks: none of its own; the caller holds the router's, so that nobody else changes a key meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from alerts import keys
from alerts.delivery import Payload
from alerts.keys import Intent, Key
from alerts.models import Alert, Notification
from alerts.rules import Event, trouble_of
from alerts.services.in_force import InForce
from alerts.services.payloads import payload_of, plain_payload
from nodes.engine.enums import EventType, Severity
from nodes.models import Event as EventRow
from nodes.models import Incident

_log = logging.getLogger(__name__)


def event_of(row: EventRow) -> Event:
    """The event as the rules look at it; raises `ValueError` for a type or severity of another version."""
    return Event(
        number=row.pk,
        type=EventType(row.type),
        severity=Severity(row.severity),
        incident=row.incident_id,
        pool=row.pool_id,
        node=row.node_id,
        tags=frozenset(row.node.tags) if row.node else frozenset(),
        checker=_checker(row.detail),
        destination=_destination(row.detail),
        at=row.at.timestamp(),
        flapping=row.incident is not None and row.incident.node_id is not None,
    )


def _checker(detail: object) -> str:
    """The host that the event is about; earlier versions wrote the slot behind it."""
    found = detail.get("checker") if isinstance(detail, dict) else None
    return found.partition("/")[0] if isinstance(found, str) else ""


def _destination(detail: object) -> int | None:
    found = detail.get("destination") if isinstance(detail, dict) else None
    return found if isinstance(found, int) else None


def tell(rows: Mapping[int, EventRow], events: Sequence[Event], in_force: InForce, now: datetime) -> None:
    """Decide about these events together; what is told of them is written."""
    stored = _alerts(events, in_force)
    known = [_key(alert, in_force) for alert in stored.values() if alert.destination_id in in_force.kinds]
    decided = keys.decide(events, in_force.rules, in_force.enabled, known)
    alerts = {
        (key.destination, key.key): _store(stored.get((key.destination, key.key)), key, events, in_force, now)
        for key in decided.keys
    }
    for intent in decided.intents:
        write(intent, [rows[number] for number in intent.events], alerts.get((intent.destination, intent.key)), in_force, now)
    if decided.unacknowledged:
        Incident.objects.filter(pk__in=decided.unacknowledged).update(acknowledged_at=None, acknowledged_by="", acknowledgement="")


def _alerts(events: Iterable[Event], in_force: InForce) -> dict[tuple[int, str], Alert]:
    """The keys of the events' incidents, and the open ones on which their troubles last, by destination and key."""
    incidents = {event.incident for event in events if event.incident is not None}
    troubles = {trouble for event in events if (trouble := trouble_of(event))}
    found = Alert.objects.filter(Q(incident__in=incidents) | Q(resolved_at=None, troubles__has_any_keys=sorted(troubles)))
    return {(alert.destination_id, name_of(alert, in_force)): alert for alert in found.defer("opened_with").order_by("pk")}


def dedup_key(in_force: InForce, destination: int, name: str) -> str:
    """The key under this name at one destination; two that lead to one service never end each other's."""
    return f"{in_force.prefix}{destination}/{name}"


def name_of(alert: Alert, in_force: InForce) -> str:
    """The name of a stored key; those of earlier versions do not name their destination."""
    return alert.dedup_key.removeprefix(in_force.prefix).removeprefix(f"{alert.destination_id}/")


def _key(alert: Alert, in_force: InForce) -> Key:
    return Key(
        destination=alert.destination_id,
        kind=in_force.kinds[alert.destination_id],
        key=name_of(alert, in_force),
        severity=Severity(alert.severity),
        incident=alert.incident_id,
        number=alert.number,
        troubles=alert.troubles if isinstance(alert.troubles, dict) else {},
        nodes=frozenset(alert.nodes),
        triggers=alert.triggers,
        acknowledgements=alert.acknowledgements,
        resolves=alert.resolves,
        acknowledged=alert.acknowledged,
        resolved=alert.resolved_at is not None,
        not_before=alert.not_before.timestamp() if alert.not_before else 0.0,
    )


def _store(alert: Alert | None, key: Key, events: Sequence[Event], in_force: InForce, now: datetime) -> Alert:
    """Store what the destination has been told by the key."""
    new = alert is None
    alert = alert or Alert(
        destination_id=key.destination,
        incident_id=key.incident,
        subject=next(iter(key.troubles), key.key)[:100],
        dedup_key=dedup_key(in_force, key.destination, key.key),
        number=key.number,
        opened_at=now,
    )
    alert.severity, alert.troubles, alert.nodes = key.severity.value, dict(key.troubles), sorted(key.nodes)
    alert.triggers, alert.acknowledgements, alert.resolves = key.triggers, key.acknowledgements, key.resolves
    alert.acknowledged = key.acknowledged
    alert.not_before = datetime.fromtimestamp(key.not_before, UTC) if key.not_before else None
    if key.resolved and alert.resolved_at is None:
        alert.resolved_at = now
    changed = [
        "severity", "troubles", "nodes", "triggers", "acknowledgements", "resolves", "acknowledged", "not_before", "resolved_at",
    ]  # fmt: skip  # all but the key it opened with, which is the senders'
    alert.save(update_fields=None if new else changed)
    return alert


def write(intent: Intent, told: Sequence[EventRow], alert: Alert | None, in_force: InForce, now: datetime) -> Notification:
    """One message; it waits for the wait of its rule."""
    return Notification.objects.create(
        destination_id=intent.destination,
        alert=alert,
        incident=told[0].incident,
        event=told[0],
        action=intent.action.value,
        sequence=intent.sequence,
        dedup_key=alert.dedup_key if alert is not None else dedup_key(in_force, intent.destination, intent.key),
        severity=intent.severity.value,
        payload=_payload(told, intent).stored(),
        due_at=max(now, datetime.fromtimestamp(intent.not_before, UTC)),
        created_at=now,
    )


def _payload(told: Sequence[EventRow], intent: Intent) -> Payload:
    """What the message says; what cannot be worded is sent in plain words rather than not at all."""
    try:
        with transaction.atomic():
            return payload_of(told, intent.action, intent.severity.value)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a decision record of another version, or a fault of ours
        _log.exception("event %s cannot be worded", told[0].pk)
        return plain_payload(told[0], intent.severity.value)
