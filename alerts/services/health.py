"""Whether alerts get out, as a watcher outside asks it.  Reads only."""

from __future__ import annotations

from django.db import connection

from nodes.ledger.leases import ALIVE

LONGEST_ROUTING = 60.0  # s an event may wait
LONGEST_CRITICAL = 120.0  # s a due message of critical severity may wait, unless its destination is disabled

_LOOK = f"""
SELECT EXISTS (SELECT 1 FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE}) AS lives,
       EXISTS (SELECT 1 FROM nodes_outbox o JOIN nodes_event e ON e.id = o.event_id
               WHERE o.given_up_at IS NULL AND e.at < now() - make_interval(secs => {LONGEST_ROUTING})) AS unrouted,
       EXISTS (SELECT 1 FROM alerts_notification n JOIN alerts_destination d ON d.id = n.destination_id
               WHERE n.status IN ('pending', 'leased') AND n.severity = 'critical' AND d.enabled AND d.removed_at IS NULL
                 AND n.created_at < now() - make_interval(secs => {LONGEST_CRITICAL})) AS unsent
"""


def alert_troubles() -> list[str]:
    """Sentences, one a trouble; empty when alerts get out."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        lives, unrouted, unsent = cursor.fetchone()
    sentences = (
        (not lives, "No alert runner lives."),
        (unrouted, f"An event has waited for over {LONGEST_ROUTING:.0f} s to be looked at."),
        (unsent, f"A critical message has waited for over {LONGEST_CRITICAL:.0f} s."),
    )
    return [sentence for holds, sentence in sentences if holds]
