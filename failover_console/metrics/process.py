"""What a web process counts by itself: its connections, what its guard refused, how late its loop turns."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from failover_console.guard import refusals
from failover_console.guard.classes import NAMES
from failover_console.guard.connections import connections
from failover_console.metrics.families import PROCESS, figure, help_text
from nodes.consumers import sockets

VERSION = "0.1.0"


def families(loop_lag: float) -> Iterator[Metric]:
    """`loop_lag` in seconds."""
    yield InfoMetricFamily("failover_build", help_text("the console's version", PROCESS), value={"version": VERSION})
    yield figure("failover_ws_clients", "live pages that it serves", sockets(), whose=PROCESS)
    yield figure("failover_loop_lag_seconds", "how late its event loop turned when it was asked", loop_lag, whose=PROCESS)
    yield figure("failover_connections", "open connections of clients", connections(), whose=PROCESS)
    refused = CounterMetricFamily(
        "failover_requests_refused", help_text("what its guard refused, by class of request", PROCESS), labels=["class", "reason"]
    )
    every = refusals.REASONS | dict.fromkeys(NAMES, refusals.OF_REQUESTS)
    for name, reasons in sorted(every.items()):
        for reason in reasons:
            refused.add_metric((name, reason), refusals.counts[name, reason])
    yield refused
