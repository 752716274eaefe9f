"""From the outbox to notifications, in one transaction: what is written is told once, whoever dies when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from alerts import rules
from alerts.models import Destination, Installation, Notification, Page, Rule
from alerts.rules import Action, Happening, Kind, Telling, Told
from alerts.services.facts import facts_of
from nodes.engine.enums import EventType, Severity
from nodes.models import Event, Outbox

ROUTING_LOCK = 0x0FA14  # advisory lock: one router at a time, so that an end is never decided before its beginning
_BATCH = 200


@dataclass(frozen=True, slots=True)
class _Book:
    """The rules in force for one batch."""

    rules: tuple[rules.Rule, ...]
    kinds: dict[int, Kind]  # of every destination
    places: dict[int, Kind]  # of those that are enabled
    prefix: str


def route(now: datetime, *, limit: int = _BATCH) -> int:
    """Decide about up to `limit` events; returns how many were taken from the outbox.

    Events of one pool have rising numbers in the order of their commits, since the pool's row is locked while they are written.
    """
    if not Outbox.objects.exists():
        return 0
    with transaction.atomic():
        if not _alone():
            return 0
        taken = list(Outbox.objects.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:limit])
        events = Event.objects.filter(pk__in=taken).select_related("pool", "node", "incident", "failover").order_by("pk")
        book: _Book | None = None
        for event in events:
            happening = _happening(event)
            if rules.is_alertable(happening):
                book = book or _open_book()
                _tell(event, happening, book, now)
        Outbox.objects.filter(pk__in=taken).delete()
    return len(taken)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROUTING_LOCK])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _happening(event: Event) -> Happening:
    return Happening(
        event=event.pk,
        type=EventType(event.type),
        severity=Severity(event.severity),
        incident=event.incident_id,
        pool=event.pool_id,
        node=event.node_id,
        tags=frozenset(event.node.tags) if event.node else frozenset(),
    )


def _open_book() -> _Book:
    every = list(Destination.objects.filter(removed_at=None).values_list("pk", "kind", "enabled"))
    kinds = {pk: Kind(kind) for pk, kind, _ in every}
    in_force = Rule.objects.filter(enabled=True)
    return _Book(
        rules=tuple(_value(rule) for rule in in_force),
        kinds=kinds,
        places={pk: kinds[pk] for pk, _, enabled in every if enabled},
        prefix=Installation.prefix(),
    )


def _value(rule: Rule) -> rules.Rule:
    return rules.Rule(
        severities=frozenset(Severity(each) for each in rule.severities),
        types=frozenset(EventType(each) for each in rule.event_types),
        pool=rule.pool_id,
        tag=rule.tag,
        destinations=frozenset(rule.destinations.values_list("pk", flat=True)),
        kind=Kind(rule.destination_kind) if rule.destination_kind else None,
    )


def _tell(event: Event, happening: Happening, book: _Book, now: datetime) -> None:
    subject = rules.subject(happening)
    # A lasting trouble that is over may come again as a new page; an incident never opens again.
    pages = Page.objects.filter(subject=subject).defer("opened_with").order_by("pk")
    found = {page.destination_id: page for page in (pages if happening.incident else pages.filter(resolved_at=None))}
    told = {place: _told(page, book) for place, page in found.items() if place in book.kinds}
    for telling in rules.tell(happening, book.rules, _others(event, book), told.values()):
        after = rules.remember(told.get(telling.destination), telling, happening, book.kinds[telling.destination])
        page = None if telling.action is Action.INFO else _turn(found.get(telling.destination), after, event, subject, book, now)
        _write(telling, event, page, book, now)


def _others(event: Event, book: _Book) -> dict[int, Kind]:
    """Where to tell it: not to the destination that the event is about, which hears nothing or would hear it too late."""
    about = event.detail.get("destination") if isinstance(event.detail, dict) else None
    return {place: kind for place, kind in book.places.items() if place != about}


def _told(page: Page, book: _Book) -> Told:
    return Told(
        destination=page.destination_id,
        kind=book.kinds[page.destination_id],
        key=page.dedup_key.removeprefix(book.prefix),
        severity=Severity(page.severity),
        nodes=frozenset(page.nodes),
        triggers=page.triggers,
        acknowledged=page.acknowledged,
        resolved=page.resolved_at is not None,
    )


def _turn(page: Page | None, after: Told, event: Event, subject: str, book: _Book, now: datetime) -> Page:
    """Store what the destination has been told."""
    if page is None:
        return Page.objects.create(
            destination_id=after.destination,
            incident=event.incident,
            subject=subject,
            dedup_key=book.prefix + after.key,
            severity=after.severity.value,
            nodes=sorted(after.nodes),
            triggers=after.triggers,
            opened_at=now,
        )
    page.severity, page.nodes, page.triggers, page.acknowledged = (
        after.severity.value,
        sorted(after.nodes),
        after.triggers,
        after.acknowledged,
    )
    page.resolved_at = now if after.resolved else None
    page.save(update_fields=["severity", "nodes", "triggers", "acknowledged", "resolved_at"])
    return page


def _write(telling: Telling, event: Event, page: Page | None, book: _Book, now: datetime) -> None:
    Notification.objects.create(
        destination_id=telling.destination,
        page=page,
        incident=event.incident,
        event=event,
        action=telling.action.value,
        sequence=telling.sequence,
        dedup_key=book.prefix + telling.key if page is None else page.dedup_key,
        severity=telling.severity.value,
        payload=facts_of(event, telling.action, telling.severity.value).stored(),
        due_at=now,
        created_at=now,
    )
