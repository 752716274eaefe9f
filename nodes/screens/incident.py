"""An incident's page: what failed, what was decided and why, in the order in which it happened."""

from __future__ import annotations

from datetime import datetime

from nodes.models import Event, Failover, Failure, Incident
from nodes.screens.decisions import decision_records
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import event_lines, failure_lines, incident_rows

EVENTS_SHOWN = 500
DECISIONS_SHOWN = 50


def incident(incident_id: int, now: datetime) -> Screen | None:
    """None when there is no such incident."""
    found = Incident.objects.select_related("pool").filter(pk=incident_id).first()
    if found is None:
        return None
    row = incident_rows(Incident.objects.filter(pk=incident_id))[0]
    decisions = decision_records(Failover.objects.filter(incident=found).order_by("at", "pk")[:DECISIONS_SHOWN])
    failures = failure_lines(Failure.objects.filter(incident=found).order_by("first_bad_at", "pk"))
    events = event_lines(Event.objects.filter(incident=found).order_by("at", "pk")[:EVENTS_SHOWN])
    page = "nodes/incident.html"
    fragments = by_id(
        Fragment("status", f"{page}#status", "incident", row),
        Fragment("acknowledgement", f"{page}#acknowledgement", "incident", row, has_actions=True),
        Fragment("failures", f"{page}#failures", "failures", failures),
        Fragment("decisions", f"{page}#decisions", "decisions", decisions),
        Fragment("events", f"{page}#events", "events", events),
    )
    context = {"incident": row, "pool": found.pool, "decisions": decisions, "failures": failures, "events": events, "now": now}
    return Screen(context, fragments, frozenset({found.pool_id}))
