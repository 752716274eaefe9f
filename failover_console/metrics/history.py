"""Figures of failovers and incidents: those that ended are counted, those that go on are gauges."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from failover_console.metrics.families import gauge, histogram, rows, totals
from nodes.engine.enums import ChangeKind, Guard, Severity
from nodes.models import Failover

FAILOVER_BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # s
INCIDENT_BOUNDS = (10, 30, 60, 300, 900, 1_800, 3_600, 14_400, 43_200, 86_400)  # s

_Status = Failover.Status
UNDER_WAY = (_Status.STARTED, _Status.RAMPING)
ENDED = (_Status.COMPLETED, _Status.FAILED, _Status.REFUSED)


def families() -> Iterator[Metric]:
    yield from _failovers()
    yield histogram(
        "failover_failover_duration_seconds",
        "from the move of a failed node's share until a receiver had proved itself",
        FAILOVER_BOUNDS,
        "SELECT completed_at - at AS took FROM nodes_failover WHERE kind = 'failover' AND status = 'completed'",
    )
    incidents = gauge("failover_incidents_open", "incidents open now", ["severity"])
    found = dict(rows("SELECT severity, count(*) FROM nodes_incident WHERE closed_at IS NULL GROUP BY 1"))
    for severity in (Severity.WARNING, Severity.CRITICAL):
        incidents.add_metric([severity], found.get(severity, 0))
    yield incidents
    yield histogram(
        "failover_incident_duration_seconds",
        "from the first bad check of an incident until it was over",
        INCIDENT_BOUNDS,
        "SELECT closed_at - opened_at AS took FROM nodes_incident WHERE closed_at IS NOT NULL",
    )


def _failovers() -> Iterator[Metric]:
    found = rows("SELECT status, kind, refused_by, count(*) FROM nodes_failover GROUP BY 1, 2, 3")
    ended: dict[tuple[str, ...], float] = {}
    refused: dict[tuple[str, ...], float] = {}
    under_way: dict[str, int] = dict.fromkeys(UNDER_WAY, 0)
    for status, kind, guard, count in found:
        if status in under_way:
            under_way[status] += count
            continue
        ended[status, kind] = ended.get((status, kind), 0) + count
        if guard:
            refused[guard,] = refused.get((guard,), 0) + count
    yield totals(
        "failover_failovers",
        "changes of shares that ended, and refusals, by why the shares were to change",
        {"result": ENDED, "trigger": ChangeKind},
        ended.items(),
    )
    going_on = gauge("failover_failovers_under_way", "changes of shares that have begun and not ended", ["state"])
    for status, count in under_way.items():
        going_on.add_metric([status], count)
    yield going_on
    yield totals("failover_refusals", "changes of shares that this guard refused", {"guard": Guard}, refused.items())
