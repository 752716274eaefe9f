"""Turns events of the outbox into notifications, in one transaction: each is written once, whichever process dies when.

Input: the outbox, the enabled rules, the destinations and alerts.  Output: notifications to be sent, alerts with what was
sent of them.  Locks: the router's advisory lock, then the rows of the outbox that it takes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F

from alerts import rules
from alerts.delivery import Payload
from alerts.models import Alert, Destination, Installation, Notification, Rule
from alerts.rules import Action, AlertState, Intent, Kind
from alerts.services.own_events import append_event
from alerts.services.payloads import payload_of, plain_payload
from alerts.services.unreadable import of_destination, of_rule
from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import event as make_event
from nodes.models import Event, Outbox

ROUTING_LOCK = 0x0FA14  # advisory lock: one router at a time, so that an end is never decided before its beginning
MOST_TRIES = 3
_BATCH = 200
LONGEST_BATCH = 1.0  # s after which what was decided is committed: the runner's lease and its sign of life wait for it

_KINDS = frozenset(Kind)
_SEVERITIES = frozenset(Severity)
_TYPES = frozenset(EventType)

_log = logging.getLogger(__name__)


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
    waiting = Outbox.objects.filter(given_up_at=None)
    if not waiting.exists():
        return 0
    with transaction.atomic():
        if not _lock():
            return 0
        taken = list(waiting.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:limit])
        rows = Event.objects.filter(pk__in=taken).select_related("pool", "node", "incident", "failover").order_by("pk")
        context, until = _Lazy(), time.monotonic() + LONGEST_BATCH
        done, failed = [], []
        for row in rows:
            error = _look_at(row, context, now)
            done.append(row.pk) if error is None else failed.append((row, error))
            if time.monotonic() > until:
                break
        Outbox.objects.filter(pk__in=done).delete()
        for row, error in failed:
            _count_failure(row, error, now)
    return len(done)


class _Lazy:
    """The rules and destinations, read once an event needs them: most batches need none."""

    def __init__(self) -> None:
        self._context: _RoutingContext | None = None

    def __call__(self) -> _RoutingContext:
        self._context = self._context or _load_context()
        return self._context


def _look_at(row: Event, context: _Lazy, now: datetime) -> Exception | None:
    """Decide about one event, in a savepoint: one that fails takes no other along.  Raises what the database itself has."""
    try:
        event = _event(row)
        alertable = rules.is_alertable(event)
    except ValueError as error:  # of a type or severity of another version
        _log.exception("event %s cannot be read", row.pk)
        return error
    if not alertable:
        return None
    in_force = context()  # what fails here is no fault of this event's
    try:
        with transaction.atomic():
            _notify(row, event, in_force, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a row of another version, or a fault of ours
        _log.exception("event %s cannot be looked at", row.pk)
        return error
    return None


def _count_failure(row: Event, error: Exception, now: datetime) -> None:
    """After three tries the event is given up, and that is told."""
    Outbox.objects.filter(pk=row.pk).update(tries=F("tries") + 1)
    given_up = Outbox.objects.filter(pk=row.pk, tries__gte=MOST_TRIES).update(given_up_at=now)
    if not given_up or row.type == EventType.EVENT_GIVEN_UP:  # what tells of it may fail as well, and would be told for ever
        return
    said = f"Event {row.pk} ({row.type}) is given up, nobody is notified of it: {type(error).__name__}: {error}"
    told = make_event(EventType.EVENT_GIVEN_UP, said[:500], detail={"event": row.pk}, actor="alerts")
    append_event(told, now)


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
        checker=_checker(row.detail),
    )


def _checker(detail: object) -> str:
    """The host that the event is about; earlier versions wrote the slot behind it."""
    found = detail.get("checker") if isinstance(detail, dict) else None
    return found.partition("/")[0] if isinstance(found, str) else ""


def _load_context() -> _RoutingContext:
    every = list(Destination.objects.filter(removed_at=None))
    in_force = list(Rule.objects.filter(enabled=True))
    for trouble in (*map(of_destination, every), *map(of_rule, in_force)):
        _say(trouble)
    kinds = {each.pk: Kind(each.kind) for each in every if each.kind in _KINDS}
    return _RoutingContext(
        rules=tuple(_rule(row) for row in in_force if _matches_something(row)),
        kinds=kinds,
        enabled={each.pk: kinds[each.pk] for each in every if each.enabled and each.pk in kinds},
        prefix=Installation.prefix(),
    )


@lru_cache(maxsize=256)
def _say(trouble: str) -> None:
    """Log what cannot be read, once a process; the page of the destinations shows it as well."""
    if trouble:
        _log.error("%s", trouble)


def _matches_something(row: Rule) -> bool:
    """A rule of nothing but unknown severities or types matches nothing, it does not match everything."""
    return bool(_SEVERITIES & set(row.severities)) and (not row.event_types or bool(_TYPES & set(row.event_types)))


def _rule(row: Rule) -> rules.Rule:
    """The stored rule; severities, types and a kind that this version does not know are left out."""
    return rules.Rule(
        severities=frozenset(Severity(each) for each in row.severities if each in _SEVERITIES),
        types=frozenset(EventType(each) for each in row.event_types if each in _TYPES),
        pool=row.pool_id,
        tag=row.tag,
        destinations=frozenset(row.destinations.values_list("pk", flat=True)),
        kind=Kind(row.destination_kind) if row.destination_kind in _KINDS else None,
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
        payload=_payload(row, intent).stored(),
        due_at=now,
        created_at=now,
    )


def _payload(row: Event, intent: Intent) -> Payload:
    """What the message says; what cannot be worded is sent in plain words rather than not at all."""
    try:
        with transaction.atomic():
            return payload_of(row, intent.action, intent.severity.value)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a decision record of another version, or a fault of ours
        _log.exception("event %s cannot be worded", row.pk)
        return plain_payload(row, intent.severity.value)
