"""An incident's page: what failed, what was decided and why, in the order in which it happened."""

from __future__ import annotations

from datetime import datetime

from nodes.models import Event, Failover, Failure, Incident
from nodes.screens.lines import event_lines, failure_lines, incident_rows
from nodes.screens.pieces import Piece, Screen, by_id
from nodes.screens.records import records

EVENTS_SHOWN = 500
DECISIONS_SHOWN = 50


def incident(incident_id: int, now: datetime) -> Screen | None:
    """None when there is no such incident."""
    found = Incident.objects.select_related("pool").filter(pk=incident_id).first()
    if found is None:
        return None
    row = incident_rows(Incident.objects.filter(pk=incident_id))[0]
    decisions = records(Failover.objects.filter(incident=found).order_by("at", "pk")[:DECISIONS_SHOWN])
    failures = failure_lines(Failure.objects.filter(incident=found).order_by("first_bad_at", "pk"))
    events = event_lines(Event.objects.filter(incident=found).order_by("at", "pk")[:EVENTS_SHOWN])
    page = "nodes/incident.html"
    pieces = by_id(
        Piece("standing", f"{page}#standing", "incident", row),
        Piece("acknowledgement", f"{page}#acknowledgement", "incident", row, acts=True),
        Piece("failures", f"{page}#failures", "failures", failures),
        Piece("decisions", f"{page}#decisions", "decisions", decisions),
        Piece("events", f"{page}#events", "events", events),
    )
    context = {"incident": row, "pool": found.pool, "decisions": decisions, "failures": failures, "events": events, "now": now}
    return Screen(context, pieces, frozenset({found.pool_id}))
