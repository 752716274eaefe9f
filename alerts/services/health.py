"""Whether alerts get out, as a watcher outside and the dead man's switch ask it.  Reads only."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from psycopg.rows import dict_row

from alerts.models import Destination, Notification
from alerts.services import in_force
from nodes.engine.enums import Severity
from nodes.engine.silence import QUIET
from nodes.ledger.clock import database_now
from nodes.ledger.leases import ALIVE
from nodes.ledger.rows import Cursor
from nodes.ledger.silence import look_for_silence

LONGEST_ROUTING = 60.0  # s an event may wait
LONGEST_CRITICAL = timedelta(seconds=120)  # that a critical message may wait, unless another destination may take its place
LONGEST_OVERDUE = 60.0  # s that a check may be overdue

_LOOK = f"""
SELECT EXISTS (SELECT 1 FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE}) AS lives,
       EXISTS (SELECT 1 FROM nodes_outbox o JOIN nodes_event e ON e.id = o.event_id
               WHERE o.given_up_at IS NULL AND e.at < now() - make_interval(secs => {LONGEST_ROUTING})) AS unrouted
"""
_OVERDUE = f"""
SELECT 1 FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL
WHERE s.admin_state IN ('enabled', 'draining') AND s.due_at < now() - make_interval(secs => {LONGEST_OVERDUE}) LIMIT 1
"""


def alert_troubles() -> list[str]:
    """Sentences, one a trouble; empty when alerts get out."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        lives, unrouted = cursor.fetchone()
    sentences = (
        (not lives, "No alert runner lives."),
        (unrouted, f"An event has waited for over {LONGEST_ROUTING:.0f} s to be looked at."),
        (_critical_waits(database_now()), f"A critical message has waited for over {LONGEST_CRITICAL.total_seconds():.0f} s."),
    )
    return [sentence for holds, sentence in sentences if holds]


def why_switch_is_withheld() -> str:
    """Why the dead man's switch may not be called now: the sentence, or empty."""
    if _critical_waits(database_now()):
        return "a critical message waits"
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        found = look_for_silence(cursor)
        if found.quiet <= QUIET:
            return ""
        overdue = cursor.execute(_OVERDUE).fetchone() is not None
    return "checks are missing" if overdue or found.missing else ""


def _critical_waits(now: datetime) -> bool:
    """Whether a critical message waits for too long at a destination that is not failing, or whose place no other can take."""
    waiting = set(
        Notification.objects.filter(
            status__in=(Notification.Status.PENDING, Notification.Status.LEASED),
            severity=Severity.CRITICAL.value,
            created_at__lt=now - LONGEST_CRITICAL,
            due_at__lt=now + LONGEST_CRITICAL,  # not one that its rule lets wait
            destination__enabled=True,
            destination__removed_at=None,
        ).values_list("destination_id", flat=True)
    )
    if not waiting:
        return False
    failing = set(Destination.objects.exclude(failing_since=None).values_list("pk", flat=True))
    rules = in_force.load()
    return not waiting <= failing or not (rules.of_critical_rules() & rules.enabled.keys()) - failing
