"""The charts of a pool's page over a range: shares with what moved them, and latency; drawn anew every few seconds at the most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from nodes.charts import Cause, Chart, Latency, Pin, Shares, Span, latency_lines, shares_band, texts
from nodes.engine.enums import ChangeKind, Guard
from nodes.series import Change, LatencyBucket, Range, SharesOver, latency_over, shares_over
from nodes.series.kept import Kept

DRAWN = timedelta(seconds=10)  # for which a drawing is kept
_LONGEST = 60  # characters of a cause


class PoolKey(NamedTuple):
    """Whose charts over which range; an epoch more brings new ones at once."""

    pool: int
    name: str
    nodes: tuple[int, ...]
    epoch: int
    range: Range


@dataclass(frozen=True, slots=True)
class PoolCharts:
    range: Range
    shares: Chart
    latency: Chart


def read_pool_charts(key: PoolKey, now: datetime) -> PoolCharts:
    start, end, buckets = key.range.window(now)
    span = Span(now - key.range.length, now, live=True)
    over = shares_over(key.pool, span.start, now)
    pins = [_pin(change) for change in _pinned(over.changes)]
    band = shares_band(_segments(over, now), [node.name for node in over.nodes], span, subject=key.name, pins=pins)
    found = latency_over(key.nodes, start, end, buckets)
    lines = latency_lines(
        latencies(found.buckets), Span(start, end, live=True), every=key.range.bucket, subject=key.name, pins=_marks(over.changes)
    )
    return PoolCharts(key.range, band, lines)


_kept: Kept[PoolKey, PoolCharts] = Kept(DRAWN, read_pool_charts)


def pool_charts(key: PoolKey, now: datetime) -> PoolCharts:
    """As `read_pool_charts`, drawn every ten seconds in a process."""
    return _kept(key, now)


def latencies(buckets: Sequence[LatencyBucket]) -> list[Latency]:
    """Buckets of a series as a chart takes them."""
    return [Latency(each.start, each.p50, each.p95, each.p99, each.failed) for each in buckets]


def _segments(over: SharesOver, now: datetime) -> list[Shares]:
    names = {node.id: node.name for node in over.nodes}
    ends = [*(point.at for point in over.points), now][1:]
    return [
        Shares(point.at, end, {names[node]: share for node, share in point.shares.items() if node in names})
        for point, end in zip(over.points, ends, strict=True)
        if point.at < end
    ]


def _pinned(changes: Sequence[Change]) -> list[Change]:
    """What people did, and what automation did about failures; shares brought to the weights only where there is nothing else."""
    return [each for each in changes if each.by_person or each.kind != ChangeKind.REBALANCE] or list(changes[-1:])


def _marks(changes: Sequence[Change]) -> list[Pin]:
    """Pins without text: failovers alone, and what people did."""
    return [_pin(change) for change in changes if change.by_person or change.kind == ChangeKind.FAILOVER]


def _pin(change: Change) -> Pin:
    what, cause = _told(change)
    cause = cause if len(cause) <= _LONGEST else f"{cause[:_LONGEST]}…"
    who = "by hand" if change.by_person else "automation"
    how = " · ".join(filter(None, (_guards(change), who, f"epoch {change.epoch}")))
    return Pin(change.at, what, (cause, how), Cause.PERSON if change.by_person else Cause.AUTOMATION)


def _told(change: Change) -> tuple[str, str]:
    """What happened in a few words, and why; an act of a person says it itself: "mara set api-1 to draining: kernel"."""
    act, colon, why = change.cause.partition(": ")
    if change.by_person and act.startswith(change.actor):
        return act, f"{texts.percent(change.moved)} moved{colon}{why}"
    return _what(change), change.cause


def _what(change: Change) -> str:
    moved = texts.percent(change.moved)
    if change.by_person:
        return f"{change.actor}: {_BY_HAND.get(change.kind, change.kind)}{f' of {change.node}' if change.node else ''}"
    if change.kind == ChangeKind.FAILOVER:
        took = f" in {change.took:.1f}\N{NO-BREAK SPACE}s" if change.took is not None else ""
        return f"{change.node} failed, its {moved} moved{took}"
    if change.kind == ChangeKind.RECOVERY:
        return f"{change.node} got {moved} back" if change.node else f"{moved} given back"
    if change.kind == ChangeKind.REBALANCE and change.node:
        return f"{change.node} took {moved}"
    return {ChangeKind.FAILBACK.value: f"{moved} went back to the better tier"}.get(change.kind, f"{moved} brought to the weights")


_BY_HAND = {
    ChangeKind.FAILOVER.value: "failover",
    ChangeKind.MANUAL.value: "shares moved",
    ChangeKind.RECOVERY.value: "return",
    ChangeKind.REBALANCE.value: "rebalanced",
    ChangeKind.FAILBACK.value: "failback",
}


def _guards(change: Change) -> str:
    if change.guards_overridden:
        return f"{', '.join(change.guards_overridden)} overridden"
    if not change.guards_passed:
        return ""
    return f"all {len(Guard)} guards passed" if change.guards_passed == len(Guard) else f"{change.guards_passed} guards passed"
