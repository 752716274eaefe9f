"""How the time of nodes and pools is divided into up, down, excluded and unmonitored: the one rule for every figure about time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from nodes.engine.health import down_interval, longest_silence
from nodes.models import EventType, Failure, Node
from nodes.reports.spans import Parts, Span, divide, subtract, union

EXCLUDED = ("maintenance", "disabled")


def existing(start: datetime, end: datetime) -> QuerySet[Node]:
    """The nodes that there were in the range, with what is asked of them here."""
    found = Node.objects.filter(created_at__lt=end).filter(Q(removed_at=None) | Q(removed_at__gt=start))
    return found.select_related("pool__failover_policy")


def failures_in(nodes: Collection[int], start: datetime, end: datetime) -> QuerySet[Failure]:
    """The failures that lasted at some instant of the range, by when they were marked."""
    lasting = Failure.objects.filter(node__in=nodes, first_bad_at__lt=end).filter(Q(recovered_at=None) | Q(recovered_at__gt=start))
    return lasting.order_by("marked_at")


def failing(failure: Failure, start: datetime, end: datetime) -> Span:
    """What of the failure lies in the range, dated back to its first bad check."""
    return max(failure.first_bad_at, start).timestamp(), min(failure.recovered_at or end, end).timestamp()


def divided(
    nodes: Iterable[Node],
    start: datetime,
    end: datetime,
    *,
    failing: Mapping[int, Sequence[Span]],
    excluded: Mapping[int, Sequence[Span]],
    silent: Mapping[int, Sequence[Span]],
) -> dict[int, Parts]:
    """The life of each node inside the range, divided; what a mapping leaves out has no such time."""
    parts = {}
    for node in nodes:
        life = [(max(start, node.created_at).timestamp(), min(end, node.removed_at or end).timestamp())]
        of_node = {"excluded": excluded.get(node.pk, ()), "failing": failing.get(node.pk, ()), "silent": silent.get(node.pk, ())}
        parts[node.pk] = divide(life, **of_node)
    return parts


def of_pool(nodes: Collection[Parts]) -> Parts:
    """A pool's time: it is down while every node that is measured is down."""
    measured = union(span for parts in nodes for span in parts.measured)
    excluded = subtract(union(span for parts in nodes for span in parts.excluded), measured)
    unmonitored = subtract(subtract(union(span for parts in nodes for span in parts.unmonitored), measured), excluded)
    up = union(span for parts in nodes for span in subtract(parts.measured, parts.down))
    return Parts(excluded, unmonitored, measured, subtract(measured, up))


def patience(node: Node) -> float:
    """How long a node may go unseen, in seconds, while its checks run as they should: as long as until it is stale."""
    policy = node.pool.failover_policy.in_force(node)
    return longest_silence(policy, max(policy.interval, down_interval(policy)))


# The last change before the range says how a node went into it; before its first change it was enabled.
_ADMIN_STATES = f"""
SELECT e.node_id, e.at, e.detail ->> 'after' AS after, e.id FROM nodes_event e
WHERE e.node_id = ANY(%(nodes)s) AND e.type = '{EventType.ADMIN_STATE_CHANGED}' AND e.at >= %(start)s AND e.at < %(end)s
UNION ALL
SELECT n.id, %(start)s, last.after, last.id FROM unnest(%(nodes)s::bigint[]) AS n(id)
CROSS JOIN LATERAL (
    SELECT e.detail ->> 'after' AS after, e.id FROM nodes_event e
    WHERE e.node_id = n.id AND e.type = '{EventType.ADMIN_STATE_CHANGED}' AND e.at < %(start)s
    ORDER BY e.at DESC, e.id DESC LIMIT 1
) last
ORDER BY 2, 4
"""


def excluded_time(nodes: Iterable[int], start: datetime, end: datetime) -> dict[int, list[Span]]:
    """Maintenance and disabled time inside the range, from the changes of the admin state."""
    states = admin_states(nodes, start, end)
    return {node: [span for state, span in found if state in EXCLUDED] for node, found in states.items()}


def admin_states(nodes: Iterable[int], start: datetime, end: datetime) -> dict[int, list[tuple[str, Span]]]:
    """Which admin state each node was in, and when, inside the range; nodes that were always enabled are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_ADMIN_STATES, {"nodes": list(nodes), "start": start, "end": end})
        changes = cursor.fetchall()
    found: dict[int, list[tuple[str, Span]]] = defaultdict(list)
    entered: dict[int, tuple[str, float]] = {}
    for node, at, after, _ in changes:
        if node in entered:
            state, since = entered[node]
            found[node].append((state, (since, at.timestamp())))
        entered[node] = after, at.timestamp()
    for node, (state, since) in entered.items():
        found[node].append((state, (since, end.timestamp())))
    return found
