"""Builds the payload of a message from the rows of its event, in the transaction that writes the notification."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from alerts.delivery import Payload
from alerts.delivery.answers import iso
from alerts.rules import Action
from nodes.engine.enums import Guard
from nodes.models import Event, Failover, Incident

_MINUTE = 60  # s
_HOUR = 60 * _MINUTE
_MOST_SENTENCES = 5


def payload_of(told: Sequence[Event], action: Action, severity: str) -> Payload:
    """The payload about these events, the gravest first, worded as the opening, the acknowledgement or the end of a key."""
    event = told[0]
    incident = event.incident
    pool = event.pool
    common: dict[str, Any] = {
        "severity": severity,
        "at": iso(event.at.timestamp()),
        "url": settings.PUBLIC_URL + (incident.get_absolute_url() if incident else reverse("nodes:events")),
        "console": settings.PUBLIC_URL,
        "type": event.type,
        "pool": pool.name if pool else "",
        "node": event.node.name if event.node else "",
        "runbook": pool.runbook if pool else "",
        "event": event.pk,
    }
    if incident is not None:
        common |= {"incident": incident.pk, "since": iso(incident.opened_at.timestamp())}
    if action is Action.RESOLVE:
        return _ended(event, incident, common)
    if action is Action.ACKNOWLEDGE and incident is not None:
        note, by = incident.acknowledgement, incident.acknowledged_by or event.actor
        return Payload(title=incident.summary, text=event.message, by=by, note=note, **common)
    return Payload(title=incident.summary if incident else event.message, text=_news(told), did=what_was_done(event), **common)


def _news(told: Sequence[Event]) -> str:
    """What happened, a sentence an event, in the order in which it did."""
    said = list(dict.fromkeys(event.message for event in sorted(told, key=lambda event: event.pk)))
    more = [f"and {len(said) - _MOST_SENTENCES} more"] if len(said) > _MOST_SENTENCES else []
    return "; ".join(said[:_MOST_SENTENCES] + more)


def _ended(event: Event, incident: Incident | None, common: dict[str, Any]) -> Payload:
    """The end of what a key told; of an incident that goes on, or of its last failure."""
    if incident is None or incident.closed_at is None:
        return Payload(title=event.message, text=incident.summary if incident else event.message, **common)
    text = f"Over after {humanize(incident.closed_at, incident.opened_at)}. Last: {event.message}"
    return Payload(title=incident.summary, text=text, until=iso(incident.closed_at.timestamp()), **common)


NO_LONGER_REPORTED = "no_longer_reported"


def leaving_payload(title: str, incident: Incident | None, now: datetime, severity: str) -> Payload:
    """What a destination is told of each open key when it is removed; `title` is what the key told first."""
    page = incident.get_absolute_url() if incident is not None else reverse("nodes:dashboard")
    return Payload(
        title=f"No longer reported here: {incident.summary if incident is not None else title}",
        text="This destination is removed from the failover console; what this was about may go on.",
        severity=severity,
        at=iso(now.timestamp()),
        url=settings.PUBLIC_URL + page,
        console=settings.PUBLIC_URL,
        type=NO_LONGER_REPORTED,
        incident=incident.pk if incident is not None else None,
    )


def plain_payload(event: Event, severity: str) -> Payload:
    """The bare words of an event, of its own columns alone."""
    return Payload(
        title=event.message or f"Event {event.pk}: {event.type}",
        text="The console could not word this message; its log says why.",
        severity=severity,
        at=iso(event.at.timestamp()),
        url=settings.PUBLIC_URL + reverse("nodes:events"),
        console=settings.PUBLIC_URL,
        type=event.type,
        event=event.pk,
    )


def humanize(end: datetime, start: datetime) -> str:
    """A duration in words: 45 s, 3 min 20 s, 2 h 5 min."""
    seconds = max(0, round((end - start).total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"


def what_was_done(event: Event) -> str:
    """What the engine did about the event's node, or which guard blocked it; empty when it decided nothing."""
    decided = event.failover
    if decided is None and event.incident_id and event.node_id:
        decided = Failover.objects.filter(incident_id=event.incident_id, node_id=event.node_id).order_by("-pk").first()
    if decided is None:
        return ""
    if decided.status == Failover.Status.REFUSED:
        blocked = next((g["reason"] for g in decided.record.get("guards", ()) if g.get("holds") and not g.get("overridden")), "")
        return f"no share was moved: {blocked or Guard(decided.refused_by).words}"
    takers = [c for c in decided.record.get("considered", ()) if c["after"] > c["before"]]
    to = ", ".join(f"{c['name']} (now {c['after'] / 100:.2f} %)" for c in takers)
    return f"its share moved to {to}, epoch {decided.epoch}" if to else decided.reason
