"""An incident's page: what failed, what was decided and why, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nodes.models import Event, Failover, Failure, Incident
from nodes.screens.decisions import decision_records
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import event_lines, failure_lines, incident_rows

EVENTS_SHOWN = 50
DECISIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest rows of an incident's list that may be longer."""

    incident: int
    shown: tuple[Any, ...]
    total: int

    @property
    def are_more(self) -> bool:
        return self.total > len(self.shown)


def incident(incident_id: int, now: datetime) -> Screen | None:
    """None when there is no such incident."""
    found = Incident.objects.select_related("pool").filter(pk=incident_id).first()
    if found is None:
        return None
    row = incident_rows(Incident.objects.filter(pk=incident_id))[0]
    made, told = Failover.objects.filter(incident=found), Event.objects.filter(incident=found)
    decisions = Newest(incident_id, tuple(decision_records(made.order_by("-at", "-pk")[:DECISIONS_SHOWN])), made.count())
    failures = failure_lines(Failure.objects.filter(incident=found).order_by("first_bad_at", "pk"))
    events = Newest(incident_id, event_lines(told.order_by("-at", "-pk")[:EVENTS_SHOWN]), told.count())
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
