"""Turns events of the outbox into notifications, in one transaction: each is written once, whichever process dies when.

Input: the outbox, the enabled rules, the destinations and alerts.  Output: notifications to be sent, alerts with what was
sent of them.  Locks: the router's advisory lock, then the rows of the outbox that it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from alerts import rules
from alerts.models import Alert, Destination, Installation, Notification, Rule
from alerts.rules import Action, AlertState, Intent, Kind
from alerts.services.payloads import payload_of
from nodes.engine.enums import EventType, Severity
from nodes.models import Event, Outbox

ROUTING_LOCK = 0x0FA14  # advisory lock: one router at a time, so that an end is never decided before its beginning
_BATCH = 200


@dataclass(frozen=True, slots=True)
class _RoutingContext:
    """The rules and destinations in force for one batch."""

    rules: tuple[rules.Rule, ...]
    kinds: dict[int, Kind]  # of every destination
    enabled: dict[int, Kind]  # of those that are enabled
    prefix: str


def route(now: datetime, *, limit: int = _BATCH) -> int:
    """Decide about up to `limit` events; returns how many were taken from the outbox.

    Events of one pool have rising numbers in the order of their commits, since the pool's row is locked while they are written.
    """
    if not Outbox.objects.exists():
        return 0
    with transaction.atomic():
        if not _lock():
            return 0
        taken = list(Outbox.objects.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:limit])
        rows = Event.objects.filter(pk__in=taken).select_related("pool", "node", "incident", "failover").order_by("pk")
        context: _RoutingContext | None = None
        for row in rows:
            event = _event(row)
            if rules.is_alertable(event):
                context = context or _load_context()
                _notify(row, event, context, now)
        Outbox.objects.filter(pk__in=taken).delete()
    return len(taken)


def _lock() -> bool:
    """Take the router's lock until the end of the transaction; False when another router has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROUTING_LOCK])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _event(row: Event) -> rules.Event:
    return rules.Event(
        number=row.pk,
        type=EventType(row.type),
        severity=Severity(row.severity),
        incident=row.incident_id,
        pool=row.pool_id,
        node=row.node_id,
        tags=frozenset(row.node.tags) if row.node else frozenset(),
    )


def _load_context() -> _RoutingContext:
    every = list(Destination.objects.filter(removed_at=None).values_list("pk", "kind", "enabled"))
    kinds = {pk: Kind(kind) for pk, kind, _ in every}
    in_force = Rule.objects.filter(enabled=True)
    return _RoutingContext(
        rules=tuple(_rule(row) for row in in_force),
        kinds=kinds,
        enabled={pk: kinds[pk] for pk, _, enabled in every if enabled},
        prefix=Installation.prefix(),
    )


def _rule(row: Rule) -> rules.Rule:
    return rules.Rule(
        severities=frozenset(Severity(each) for each in row.severities),
        types=frozenset(EventType(each) for each in row.event_types),
        pool=row.pool_id,
        tag=row.tag,
        destinations=frozenset(row.destinations.values_list("pk", flat=True)),
        kind=Kind(row.destination_kind) if row.destination_kind else None,
    )


def _notify(row: Event, event: rules.Event, context: _RoutingContext, now: datetime) -> None:
    """Decide about one event, and write each intent as a notification of its alert."""
    subject = rules.subject(event)
    # A lasting trouble that is over may come again as a new alert; an incident never opens again.
    found = Alert.objects.filter(subject=subject).defer("opened_with").order_by("pk")
    alerts = {alert.destination_id: alert for alert in (found if event.incident else found.filter(resolved_at=None))}
    states = {pk: _state(alert, context) for pk, alert in alerts.items() if pk in context.kinds}
    for intent in rules.decide(event, context.rules, _recipients(row, context), states.values()):
        after = rules.state_after(states.get(intent.destination), intent, event, context.kinds[intent.destination])
        plain = intent.action is Action.INFO
        alert = None if plain else _store(alerts.get(intent.destination), after, row, subject, context, now)
        _write(intent, row, alert, context, now)


def _recipients(row: Event, context: _RoutingContext) -> dict[int, Kind]:
    """The enabled destinations but the one that the event is about: it is failing, or would be notified too late."""
    about = row.detail.get("destination") if isinstance(row.detail, dict) else None
    return {pk: kind for pk, kind in context.enabled.items() if pk != about}


def _state(alert: Alert, context: _RoutingContext) -> AlertState:
    return AlertState(
        destination=alert.destination_id,
        kind=context.kinds[alert.destination_id],
        key=alert.dedup_key.removeprefix(context.prefix),
        severity=Severity(alert.severity),
        nodes=frozenset(alert.nodes),
        triggers=alert.triggers,
        acknowledged=alert.acknowledged,
        resolved=alert.resolved_at is not None,
    )


def _store(alert: Alert | None, after: AlertState, row: Event, subject: str, context: _RoutingContext, now: datetime) -> Alert:
    """Store what the destination has been notified of."""
    if alert is None:
        return Alert.objects.create(
            destination_id=after.destination,
            incident=row.incident,
            subject=subject,
            dedup_key=context.prefix + after.key,
            severity=after.severity.value,
            nodes=sorted(after.nodes),
            triggers=after.triggers,
            opened_at=now,
        )
    alert.severity, alert.nodes, alert.triggers, alert.acknowledged = (
        after.severity.value,
        sorted(after.nodes),
        after.triggers,
        after.acknowledged,
    )
    alert.resolved_at = now if after.resolved else None
    alert.save(update_fields=["severity", "nodes", "triggers", "acknowledged", "resolved_at"])
    return alert


def _write(intent: Intent, row: Event, alert: Alert | None, context: _RoutingContext, now: datetime) -> None:
    Notification.objects.create(
        destination_id=intent.destination,
        alert=alert,
        incident=row.incident,
        event=row,
        action=intent.action.value,
        sequence=intent.sequence,
        dedup_key=context.prefix + intent.key if alert is None else alert.dedup_key,
        severity=intent.severity.value,
        payload=payload_of(row, intent.action, intent.severity.value).stored(),
        due_at=now,
        created_at=now,
    )
