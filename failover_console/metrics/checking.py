"""Figures of the check runners and of the database that they write to, summed over the rows of the runners' slots."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from math import fsum
from typing import Any

from prometheus_client.core import HistogramMetricFamily, Metric

from failover_console.metrics.families import figure, gauge, help_text, rows, total, totals
from nodes.engine.enums import Verdict
from nodes.ledger.runners import GAP
from nodes.rollups import retention
from nodes.runner.counters import BUCKETS

MOST_STRAYS = 10_000  # so that a scrape reads no millions of rows

_SLOTS = f"""
SELECT late, stale_results, stalls, lateness_p99, latency_buckets, latency_sum, verdicts::text,
       seen_at > now() - make_interval(secs => {GAP}) AS lives, loop_lag, extract(epoch FROM seen_at)::float8
FROM nodes_runner WHERE kind = 'checks'
"""

# What a web process or a worker may still open: those kept for superusers and for named roles are not counted.  The type of
# another role's connection is hidden from some.
_CONNECTIONS = """
SELECT greatest(0, current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true), '0')::int
                   - (SELECT count(*) FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = 'client backend'))
"""


_CLOCKS = f"""
SELECT host, (array_agg(clock_ahead ORDER BY abs(clock_ahead) DESC))[1] FROM nodes_runner
WHERE seen_at > now() - make_interval(secs => {GAP}) GROUP BY host ORDER BY host
"""


def families() -> Iterator[Metric]:
    found = rows(_SLOTS)
    verdicts = Counter[str]()
    for _, _, _, _, _, _, seen, *_ in found:
        verdicts.update(json.loads(seen))
    counts = [((verdict,), float(count)) for verdict, count in sorted(verdicts.items())]
    yield totals("failover_checks", "checks by what they saw", {"result": Verdict}, counts)
    yield _durations(found)
    late, outdated, stalls = (sum(row[column] for row in found) for column in range(3))
    yield total("failover_checks_late", "checks that started over 250 ms late", late)
    yield total("failover_results_stale", "results that answered an old claim and were dropped", outdated)
    yield total("failover_loop_stalls", "times a check loop stood still over 500 ms", stalls)
    living = [row for row in found if row[7]]
    late_p99, loop_lag = max((row[3] for row in living), default=0.0), max((row[8] for row in living), default=0.0)
    yield figure("failover_check_schedule_lag_seconds", "p99 of how late checks start, worst living runner", late_p99)
    yield figure("failover_check_loop_lag_seconds", "how late a check loop turned in the last 5 s, worst living runner", loop_lag)
    yield figure(
        "failover_scheduler_last_tick_timestamp_seconds",
        "when a runner was last alive",
        max((row[-1] for row in found), default=0.0),
    )
    clocks = gauge("failover_host_clock_ahead_seconds", "how far a host's clock is ahead of the database's", ("host",))
    for host, ahead in rows(_CLOCKS):
        clocks.add_metric((host,), ahead)
    yield clocks
    strays = gauge(
        "failover_default_partition_rows", f"rows that no partition was made for in time, counted up to {MOST_STRAYS}", ("table",)
    )
    for table in retention.TABLES:
        [(number,)] = rows(f"SELECT count(*) FROM (SELECT 1 FROM {table.name}_default LIMIT {MOST_STRAYS}) AS found")
        strays.add_metric((table.name,), number)
    yield strays
    free = rows(_CONNECTIONS)[0][0]
    yield figure("failover_database_connections_free", "connections that the database server can still take", free)


def _durations(found: list[tuple[Any, ...]]) -> HistogramMetricFamily:
    """Summed exactly: in another order of the rows the last digit must not fall."""
    counts = [0] * (len(BUCKETS) + 1)
    for row in found:
        counts = [a + b for a, b in zip(counts, row[4] or [0] * len(counts), strict=True)]
    upto = [sum(counts[: number + 1]) for number in range(len(counts))]
    buckets = list(zip([*map(str, BUCKETS), "+Inf"], upto, strict=True))
    spent = fsum(row[5] for row in found)
    return HistogramMetricFamily(
        "failover_check_duration_seconds", help_text("how long answers took"), buckets=buckets, sum_value=spent
    )
