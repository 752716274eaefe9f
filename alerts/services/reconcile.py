"""Looks again, each minute, at what lasts and at what was told: what is over is resolved, what was never told is told.

A message can be lost in ways that no single step sees: given up, written for a destination that was disabled, about an event that
could not be routed, with a rule that was added later.  Input: what lasts, the keys.  Output: keys and notifications.
Locks: the router's.  What an event in the outbox may still change is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q
from psycopg.rows import dict_row

from alerts.delivery import Payload
from alerts.delivery.answers import iso
from alerts.keys import Intent
from alerts.models import Alert, Attempt, Destination, Notification
from alerts.rules import Action, checker_trouble, incident_trouble, is_alertable, is_failure, selected, trouble_of
from alerts.services import in_force
from alerts.services.in_force import InForce
from alerts.services.routing import lock
from alerts.services.telling import dedup_key, event_of, write
from nodes.engine.enums import Severity
from nodes.engine.event_types import TABLE, TroubleType, rank
from nodes.ledger.lasting import lasting
from nodes.ledger.rows import Cursor
from nodes.models import Event as EventRow
from nodes.models import Incident, Outbox

OLD_ENOUGH = timedelta(seconds=60)
_LOOKS_BACK = timedelta(days=30)  # for the event that began what lasts
_MOST_BEGINNINGS = 5000
_MOST_TOLD = 100  # messages in one look: the runner's lease waits for it

_log = logging.getLogger(__name__)

_BEGINNINGS = [kind.value for kind, row in TABLE.items() if row.begins is not None and row.begins is not TroubleType.FAILURE]
_EVENTS = EventRow.objects.select_related("pool", "node", "incident", "failover")
_ON_ITS_WAY = Notification.objects.filter(
    action=Action.TRIGGER,
    status__in=(Notification.Status.PENDING, Notification.Status.LEASED, Notification.Status.DELIVERED),
)


def reconcile(now: datetime) -> int:
    """Resolve and tell; returns how many messages that made."""
    with transaction.atomic():
        if not lock():
            return 0
        lasts = _lasting() | {
            f"destination/{pk}/{kind}"
            for kind, found in (
                (TroubleType.DESTINATION_FAILING, Destination.objects.exclude(failing_since=None)),
                (TroubleType.DESTINATION_QUIET, Destination.objects.filter(quiet_told=True)),
            )
            for pk in found.values_list("pk", flat=True)
        }
        unrouted = _pools_with_unrouted_events()
        rules = in_force.load()
        ended = _resolve_what_is_over(lasts, unrouted, rules, now)
        ended += _resolve_again_what_was_refused(rules, now)
        again = _tell_again_what_was_lost(lasts, unrouted, rules, now)
        return ended + again + _tell_what_lasts(lasts, unrouted, rules, now)


def _lasting() -> frozenset[str]:
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        return frozenset(_as_named(trouble) for trouble in lasting(cursor))


def _as_named(trouble: str) -> str:
    """A trouble as its events name it: that of a checker by as much of its host as fits."""
    scope, _, rest = trouble.partition("/")
    host, _, kind = rest.rpartition("/")
    return checker_trouble(host, kind) if scope == "checker" else trouble


def _pools_with_unrouted_events() -> set[int | None]:
    return set(Outbox.objects.filter(given_up_at=None).values_list("event__pool_id", flat=True))


# What is over ---------------------------------------------------------------------------------------------------------


def _resolve_what_is_over(lasts: frozenset[str], unrouted: set[int | None], rules: InForce, now: datetime) -> int:
    unresolved = Alert.objects.filter(resolved_at=None, opened_at__lt=now - OLD_ENOUGH, destination__in=rules.kinds)
    ended = [
        alert
        for alert in unresolved.select_related("incident").defer("opened_with").order_by("pk")
        if not _still(alert) & lasts and _pool_of(alert) not in unrouted and _ended_long_enough(alert, now)
    ]
    return sum(_safely(alert, partial(_resolve, alert, now)) for alert in ended)


def _safely(alert: Alert, act: Callable[[], None]) -> int:
    """In a savepoint: a row of another version takes no other along.  Returns how many messages that made."""
    try:
        with transaction.atomic():
            act()
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # as above
        _log.exception("key %s cannot be looked at", alert.pk)
        return 0
    return 1


def _still(alert: Alert) -> set[str]:
    """What lasts by the key itself; one of another version holds its subject alone, and no failure outlasts its incident."""
    named = alert.troubles if isinstance(alert.troubles, dict) and alert.troubles else {alert.subject: None}
    over = alert.incident is not None and alert.incident.closed_at is not None
    return {trouble for trouble, ended in named.items() if ended is None and not (over and is_failure(trouble))}


def _ended_long_enough(alert: Alert, now: datetime) -> bool:
    closed_at = alert.incident.closed_at if alert.incident else None
    return closed_at is None or closed_at < now - OLD_ENOUGH


def _pool_of(alert: Alert) -> int | None:
    if alert.incident is not None:
        return alert.incident.pool_id
    told = alert.notifications.exclude(event=None).select_related("event").first()
    return told.event.pool_id if told and told.event else None


def _resolve(alert: Alert, now: datetime) -> None:
    first = alert.notifications.order_by("pk").first()
    before = Payload.load(first.payload if first else {})
    title = alert.incident.summary if alert.incident else before.title
    payload = replace(before, title=title, text="It is over.", did="", until=iso(now.timestamp()))
    stored = alert.troubles if isinstance(alert.troubles, dict) else {}
    alert.troubles = {trouble: now.timestamp() if ended is None else ended for trouble, ended in stored.items()}
    alert.resolved_at, alert.resolves = now, alert.resolves + 1
    alert.save(update_fields=["troubles", "resolved_at", "resolves"])
    Notification.objects.create(
        destination_id=alert.destination_id,
        alert=alert,
        incident=alert.incident,
        action=Action.RESOLVE,
        sequence=alert.resolves,
        dedup_key=alert.dedup_key,
        severity=alert.severity,
        payload=payload.stored(),
        due_at=now,
        created_at=now,
    )


def _resolve_again_what_was_refused(rules: InForce, now: datetime) -> int:
    """A key whose resolve was refused is open there: it is resolved again once the destination accepts or was edited."""
    later = Notification.objects.filter(alert=OuterRef("pk"), action=Action.RESOLVE).exclude(status=Notification.Status.DEAD)
    refused = Alert.objects.filter(
        resolved_at__gt=now - _LOOKS_BACK, destination__in=rules.enabled, notifications__status=Notification.Status.DEAD,
        notifications__action=Action.RESOLVE,
    )  # fmt: skip  # one question
    left_open = refused.exclude(Exists(later)).select_related("incident", "destination").distinct().defer("opened_with")
    made = 0
    for alert in left_open.defer("opened_with", "destination__address", "destination__key").order_by("pk")[:_MOST_TOLD]:
        if not _is_refused_still(alert.destination, alert):
            made += _safely(alert, partial(_resolve, alert, now))
    return made


# What did not arrive --------------------------------------------------------------------------------------------------


def _tell_again_what_was_lost(lasts: frozenset[str], unrouted: set[int | None], rules: InForce, now: datetime) -> int:
    """Each open key by which nothing was accepted or is on its way, of what lasts, is told by a new one."""
    lost = Alert.objects.filter(resolved_at=None, opened_at__lt=now - OLD_ENOUGH, destination__in=rules.enabled)
    lost = lost.exclude(Exists(_ON_ITS_WAY.filter(alert=OuterRef("pk")))).select_related("incident", "destination")
    told = 0
    for alert in lost.defer("opened_with", "destination__address", "destination__key").order_by("pk")[:_MOST_TOLD]:
        last = alert.notifications.filter(action=Action.TRIGGER).exclude(event=None).order_by("-pk").first()
        if last is None or last.event_id is None or not _still(alert) & lasts or _pool_of(alert) in unrouted:
            continue
        if not _is_refused_still(alert.destination, alert):
            told += _safely(alert, partial(_replace, alert, last.event_id, rules, now))
    return told


def _replace(alert: Alert, event: int, rules: InForce, now: datetime) -> None:
    """By a new key; the old one is resolved where it may be open."""
    still = _still(alert)
    if alert.notifications.filter(may_have_arrived=True).exists():
        _resolve(alert, now)
    else:
        Alert.objects.filter(pk=alert.pk).update(resolved_at=now)
    _tell_by_new_key(alert.destination_id, _EVENTS.get(pk=event), Severity(alert.severity), still, 0.0, rules, now)


# What was never told --------------------------------------------------------------------------------------------------


def _tell_what_lasts(lasts: frozenset[str], unrouted: set[int | None], rules: InForce, now: datetime) -> int:
    told = 0
    for row, missing in _untold(lasts, rules, now):
        if row.pool_id in unrouted:
            continue
        event = event_of(row)
        waits = selected(event, rules.rules, rules.enabled)
        for destination in sorted(waits.keys() & missing):
            missing.discard(destination)
            troubles = {incident_trouble(event.incident)} if event.incident is not None else {trouble_of(event)}
            told += _tell_by_new_key(destination, row, event.severity, troubles, event.at + waits[destination], rules, now)
        if told >= _MOST_TOLD:
            break  # the rest in a minute
    return told


def _untold(lasts: frozenset[str], rules: InForce, now: datetime) -> Iterator[tuple[EventRow, set[int]]]:
    """The event by which each trouble is told, and the destinations that have no key for it."""
    yield from _untold_incidents(lasts, rules, now)
    outside = {name for name in lasts if not name.startswith("incident/") and not is_failure(name)}
    if not outside:
        return
    known = Alert.objects.filter(resolved_at=None, troubles__has_any_keys=sorted(outside))
    reached = {(trouble, alert.destination_id) for alert in known.only("troubles", "destination_id") for trouble in alert.troubles}
    begun = _EVENTS.filter(type__in=_BEGINNINGS, at__gt=now - _LOOKS_BACK, at__lt=now - OLD_ENOUGH, incident=None)
    for row in begun.order_by("-at", "-pk")[:_MOST_BEGINNINGS]:
        trouble = trouble_of(event_of(row)) if _tellable(row) else ""
        if trouble in outside:
            outside.remove(trouble)
            yield row, {pk for pk in rules.enabled if (trouble, pk) not in reached}
        if not outside:
            return


def _untold_incidents(lasts: frozenset[str], rules: InForce, now: datetime) -> Iterator[tuple[EventRow, set[int]]]:
    """By the events of each open incident, the gravest first; most incidents are told everywhere, and are not looked at closer."""
    still_open = Incident.objects.filter(closed_at=None, detected_at__lt=now - OLD_ENOUGH).order_by("pk")
    reached = set(Alert.objects.filter(incident__in=still_open).values_list("incident_id", "destination_id"))
    missing = {
        pk: lacking
        for pk in still_open.values_list("pk", flat=True)
        if (lacking := {each for each in rules.enabled if (pk, each) not in reached})
    }
    severe: dict[int, list[EventRow]] = {pk: [] for pk in missing}
    for row in _EVENTS.filter(incident__in=list(missing)).exclude(severity=Severity.INFO).order_by("pk"):
        if row.incident_id is not None and _tellable(row) and trouble_of(event_of(row)) in lasts:
            severe[row.incident_id].append(row)
    for pk, rows in severe.items():
        for row in sorted(rows, key=lambda row: -rank(Severity(row.severity))):
            yield row, missing[pk]


def _tellable(row: EventRow) -> bool:
    try:
        return is_alertable(event_of(row))
    except ValueError:  # of another version
        return False


def _tell_by_new_key(
    destination: int, row: EventRow, severity: Severity, troubles: set[str], not_before: float, rules: InForce, now: datetime
) -> int:
    """Open a key that was never used there."""
    event = event_of(row)
    trouble = incident_trouble(event.incident) if event.incident is not None else trouble_of(event)
    about = Q(incident=event.incident) if event.incident is not None else Q(dedup_key__contains=f"/{trouble}/")
    before = Alert.objects.filter(about, destination=destination).values_list("number", flat=True)
    number = max(before, default=0) + 1
    stem = trouble if event.incident is not None else f"{trouble}/{event.number}"
    name = stem if number == 1 else f"{stem}/{number}"
    alert = Alert.objects.create(
        destination_id=destination,
        incident_id=event.incident,
        subject=min(troubles)[:100],
        dedup_key=dedup_key(rules, destination, name),
        number=number,
        severity=severity.value,
        troubles=dict.fromkeys(sorted(troubles)),
        not_before=datetime.fromtimestamp(not_before, UTC) if not_before else None,
        nodes=[],
        triggers=1,
        opened_at=now,
    )
    write(Intent(destination, Action.TRIGGER, name, 1, severity, (event.number,), not_before), [row], alert, rules, now)
    return 1


def _is_refused_still(destination: Destination, alert: Alert) -> bool:
    """Whether the key's last message was refused for good, and the destination accepted nothing and was not edited since."""
    refused = Attempt.objects.filter(notification__alert=alert, outcome=Attempt.Outcome.REFUSED).order_by("-at").first()
    if refused is None:
        return False
    changed = max(filter(None, (destination.last_success_at, destination.edited_at)), default=datetime.min.replace(tzinfo=UTC))
    return changed <= refused.at
