"""The console's figures for Prometheus, read from the database at scrape time: any web process gives the same answer.

Counters count rows that are never deleted, by what about them is final, so none falls.  `failover_ws_clients` alone is
the answering process's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from nodes.consumers import sockets
from nodes.models import Health, Severity
from nodes.models.state import BreakerState
from nodes.runner.counters import BUCKETS

VERSION = "0.1.0"

_FAILOVER_BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # s
_INCIDENT_BOUNDS = (10, 30, 60, 300, 900, 1_800, 3_600, 14_400, 43_200, 86_400)  # s
_NOTIFICATION_BOUNDS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600)  # s


class Console(Collector):
    """One scrape: a constant number of queries."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("failover_build", "The console's version", value={"version": VERSION})
        yield from _nodes()
        yield from _runners()
        yield from _history()
        yield from _alerts()
        yield from _notifications()
        yield GaugeMetricFamily("failover_ws_clients", "Live pages that this web process serves", value=sockets())

    def describe(self) -> list[Metric]:
        return []


def _rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _histogram(name: str, what: str, bounds: tuple[float, ...], durations: str) -> HistogramMetricFamily:
    """A histogram of the column `took` (an interval) of the query `durations`."""
    upto = ", ".join(f"count(*) FILTER (WHERE seconds <= {bound})" for bound in bounds)
    [(*counts, total, summed)] = _rows(
        f"""SELECT {upto}, count(*), coalesce(sum(seconds), 0)
            FROM (SELECT extract(epoch FROM took)::float8 AS seconds FROM ({durations}) AS spans) AS durations"""
    )
    buckets = [*zip(map(str, map(float, bounds)), counts, strict=True), ("+Inf", total)]
    return HistogramMetricFamily(name, what, buckets=buckets, sum_value=summed)


def _nodes() -> Iterator[Metric]:
    up = GaugeMetricFamily("failover_node_up", "1 when the node is healthy or degraded", labels=["pool", "node"])
    state = GaugeMetricFamily("failover_node_state", "1 for the health that the node has", labels=["pool", "node", "state"])
    breaker = GaugeMetricFamily(
        "failover_breaker_state", "1 for the state that the node's breaker has", labels=["pool", "node", "state"]
    )
    share = GaugeMetricFamily("failover_node_share_ratio", "The node's part of its pool's traffic", labels=["pool", "node"])
    opened = CounterMetricFamily(
        "failover_breaker_transitions", "Times a breaker went to this state", labels=["pool", "node", "to"]
    )
    for pool, node, health, breaker_state, basis_points, times_opened, closings in _rows(
        """SELECT p.slug, n.name, s.health, s.breaker_state, s.share, s.breaker_times_opened, s.breaker_closings
           FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool p ON p.id = n.pool_id
           WHERE n.removed_at IS NULL"""
    ):
        up.add_metric([pool, node], float(health in (Health.HEALTHY, Health.DEGRADED)))
        share.add_metric([pool, node], basis_points / 10_000)
        opened.add_metric([pool, node, "open"], times_opened)
        opened.add_metric([pool, node, "closed"], closings)
        for each in Health.values:
            state.add_metric([pool, node, each], float(each == health))
        for each in BreakerState.values:
            breaker.add_metric([pool, node, each], float(each == breaker_state))
    yield from (up, state, breaker, share, opened)


def _runners() -> Iterator[Metric]:
    rows = _rows(
        """SELECT kind, checks, late, stale_results, stalls, lateness_p99, latency_buckets, latency_sum, verdicts::text,
                  seen_at > now() - interval '15 s' AS lives
           FROM nodes_runner"""
    )
    checks = CounterMetricFamily("failover_checks", "Checks by what they saw", labels=["result"])
    duration = HistogramMetricFamily("failover_check_duration_seconds", "How long answers took")
    verdicts: Counter[str] = Counter()
    summed, total = [0] * (len(BUCKETS) + 1), 0.0
    for _, _, _, _, _, _, buckets, latency_sum, seen, _ in rows:
        verdicts.update(json.loads(seen))
        total += latency_sum
        summed = [a + b for a, b in zip(summed, buckets or [0] * len(summed), strict=True)]
    for verdict, count in sorted(verdicts.items()):
        checks.add_metric([verdict], count)
    running, cumulative = 0, []
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], summed, strict=True):
        running += count
        cumulative.append((bound, running))
    duration.add_metric([], cumulative, total)
    yield from (checks, duration)
    yield CounterMetricFamily("failover_checks_late", "Checks that started over 250 ms late", value=sum(row[2] for row in rows))
    yield CounterMetricFamily(
        "failover_results_stale", "Results that answered an old claim and were dropped", value=sum(row[3] for row in rows)
    )
    yield CounterMetricFamily(
        "failover_loop_stalls", "Times a check loop stood still over 500 ms", value=sum(row[4] for row in rows)
    )
    yield GaugeMetricFamily(
        "failover_check_schedule_lag_seconds",
        "p99 of how late checks start, worst living runner",
        value=max((row[5] for row in rows if row[9]), default=0.0),
    )
    tick = _rows("SELECT extract(epoch FROM max(seen_at))::float8 FROM nodes_runner WHERE kind = 'checks'")[0][0]
    yield GaugeMetricFamily("failover_scheduler_last_tick_timestamp_seconds", "When a runner was last alive", value=tick or 0.0)


def _history() -> Iterator[Metric]:
    failovers = CounterMetricFamily(
        "failover_failovers",
        "Changes of shares that ended, and refusals, by why the shares were to change",
        labels=["result", "trigger"],
    )
    for status, kind, count in _rows("SELECT status, kind, count(*) FROM nodes_failover WHERE status <> 'started' GROUP BY 1, 2"):
        failovers.add_metric([status, kind], count)
    yield failovers
    yield _histogram(
        "failover_failover_duration_seconds",
        "From the move of a failed node's share until a receiver had proved itself",
        _FAILOVER_BOUNDS,
        "SELECT completed_at - at AS took FROM nodes_failover WHERE kind = 'failover' AND status = 'completed'",
    )
    incidents = GaugeMetricFamily("failover_incidents_open", "Incidents open now", labels=["severity"])
    found = dict(_rows("SELECT severity, count(*) FROM nodes_incident WHERE closed_at IS NULL GROUP BY 1"))
    for severity in (Severity.WARNING, Severity.CRITICAL):
        incidents.add_metric([severity.value], found.get(severity.value, 0))
    yield incidents
    yield _histogram(
        "failover_incident_duration_seconds",
        "From the first bad check of an incident until its last failure ended",
        _INCIDENT_BOUNDS,
        "SELECT closed_at - opened_at AS took FROM nodes_incident WHERE closed_at IS NOT NULL",
    )


def _alerts() -> Iterator[Metric]:
    pending, oldest = _rows(
        """SELECT count(*), coalesce(extract(epoch FROM now() - min(e.at)), 0)::float8
           FROM nodes_outbox o JOIN nodes_event e ON e.id = o.event_id"""
    )[0]
    yield GaugeMetricFamily("failover_outbox_pending", "Events that the alerts have not looked at", value=pending)
    yield GaugeMetricFamily("failover_outbox_oldest_age_seconds", "Age of the oldest of them", value=oldest)


def _notifications() -> Iterator[Metric]:
    delivered = CounterMetricFamily("failover_notifications", "Messages that a destination took", labels=["channel_kind"])
    for kind, count in _rows(
        """SELECT d.kind, count(*) FROM alerts_notification n JOIN alerts_destination d ON d.id = n.destination_id
           WHERE n.status = 'delivered' GROUP BY 1"""
    ):
        delivered.add_metric([kind], count)
    failed = CounterMetricFamily(
        "failover_notifications_failed", "Attempts that did not deliver", labels=["channel_kind", "reason"]
    )
    for kind, outcome, count in _rows(
        """SELECT d.kind, a.outcome, count(*) FROM alerts_attempt a JOIN alerts_notification n ON n.id = a.notification_id
           JOIN alerts_destination d ON d.id = n.destination_id WHERE a.outcome <> 'accepted'
           GROUP BY 1, 2"""
    ):
        failed.add_metric([kind, outcome], count)
    yield from (delivered, failed)
    suppressed = CounterMetricFamily(
        "failover_notifications_suppressed", "Messages that were never sent because something overtook them", labels=["reason"]
    )
    for reason, count in _rows(
        """SELECT CASE outcome WHEN 'its beginning was never sent' THEN 'never_told' ELSE 'overtaken' END, count(*)
           FROM alerts_notification WHERE status = 'superseded' GROUP BY 1"""
    ):
        suppressed.add_metric([reason], count)
    yield suppressed
    yield _histogram(
        "failover_notification_latency_seconds",
        "From the event until a destination took the message about it",
        _NOTIFICATION_BOUNDS,
        """SELECT n.delivered_at - e.at AS took FROM alerts_notification n JOIN nodes_event e ON e.id = n.event_id
           WHERE n.status = 'delivered'""",
    )
