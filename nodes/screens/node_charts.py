"""The charts of a node's page over a range: latency and availability; and its uptime over the usual ranges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from nodes.charts import Chart, Span, availability_bars, latency_lines
from nodes.models import Node
from nodes.screens.pool_charts import DRAWN, latencies
from nodes.series import Range, availability_over, latency_over, uptime
from nodes.series.kept import Kept

_STRETCHES = {
    timedelta(minutes=1): "minute",
    timedelta(minutes=5): "5 minutes",
    timedelta(minutes=15): "quarter of an hour",
    timedelta(hours=1): "hour",
    timedelta(hours=6): "6 hours",
    timedelta(days=1): "day",
}


class NodeKey(NamedTuple):
    """Whose charts over which range."""

    node: int
    name: str
    range: Range


@dataclass(frozen=True, slots=True)
class NodeCharts:
    range: Range
    latency: Chart
    availability: Chart


def read_node_charts(key: NodeKey, now: datetime) -> NodeCharts:
    start, end, buckets = key.range.window(now)
    found = latency_over([key.node], start, end, buckets)
    lines = latency_lines(latencies(found.buckets), Span(start, end, live=True), every=key.range.bucket, subject=key.name)
    node = Node.objects.select_related("pool__failover_policy").get(pk=key.node)
    spells = availability_over(node, start, end, buckets, now=now).buckets
    bars = availability_bars(
        [(spell.start, spell.availability) for spell in spells], subject=key.name, each=_STRETCHES[key.range.bucket]
    )
    return NodeCharts(key.range, lines, bars)


_kept: Kept[NodeKey, NodeCharts] = Kept(DRAWN, read_node_charts)


def node_charts(key: NodeKey, now: datetime) -> NodeCharts:
    """As `read_node_charts`, drawn every ten seconds in a process."""
    return _kept(key, now)


def _read_uptime(node_id: int, now: datetime) -> tuple[tuple[Range, float | None], ...]:
    node = Node.objects.select_related("pool__failover_policy").get(pk=node_id)
    return tuple(uptime(node, now).items())


_uptimes: Kept[int, tuple[tuple[Range, float | None], ...]] = Kept(timedelta(seconds=60), _read_uptime)


def node_uptime(node_id: int, now: datetime) -> tuple[tuple[Range, float | None], ...]:
    """Its availability over a day, a week, a month, a quarter; read once a minute in a process."""
    return _uptimes(node_id, now)
