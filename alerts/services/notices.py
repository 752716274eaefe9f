"""What was sent about an incident, for its page."""

from __future__ import annotations

from alerts.models import Notification
from nodes.notices import Notice

MOST = 100  # messages


def of_incident(incident_id: int) -> tuple[Notice, ...]:
    """The first messages about the incident, oldest first, in one query."""
    found = Notification.objects.filter(incident_id=incident_id).select_related("destination").order_by("created_at", "pk")
    slim = found.only("action", "status", "attempts", "created_at", "delivered_at", "destination__name")
    return tuple(
        Notice(
            each.pk, each.created_at, each.destination.name, each.get_action_display(), each.get_status_display(), each.tone,
            None if each.delivered_at is None else (each.delivered_at - each.created_at).total_seconds(), each.attempts,
        )
        for each in slim[:MOST]
    )  # fmt: skip  # what belongs together stays on a line
