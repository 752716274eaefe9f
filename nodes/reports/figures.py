"""The queries behind a report: a constant number of them, whatever the number of nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from django.db import connection
from django.db.models import Count, Q

from nodes.models import Event, EventType, Failure, Incident, Node, Pool
from nodes.reports.spans import Span, intersection, length, subtract, union
from nodes.rollups import merged, quantile
from nodes.rollups.grains import DAY, HOUR, MINUTE, Grain, done_until

LONGEST = timedelta(days=400)  # of a range; a longer one is cut at its start
_ASIDE = ("maintenance", "disabled")
_COUNTED_EVENTS = (EventType.RECOVERY_STARTED, EventType.RECOVERY_COMPLETED, EventType.BREAKER_OPENED)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a node, or a pool (`node` None).  Times in seconds, parts as ratios, None where there is nothing to count."""

    pool: str
    node: str | None
    availability: float | None
    downtime: float
    counted: float
    set_aside: float
    unknown: float | None
    failures: int
    incidents: int
    to_detect: float | None
    to_fail_over: float | None
    to_recover: float | None
    between_failures: float | None
    recovery_success: float | None
    breaker_opens: int
    rejected_trials: int
    p50: float | None
    p95: float | None
    p99: float | None
    checks: int


@dataclass(frozen=True, slots=True)
class Report:
    start: datetime
    end: datetime
    rows: tuple[Row, ...]  # each pool, followed by its nodes


@dataclass
class _Past:
    """What one node, or all nodes of a pool, went through."""

    counted: list[Span] = field(default_factory=list)
    aside: list[Span] = field(default_factory=list)
    down: list[Span] = field(default_factory=list)
    up_seconds: float = 0.0  # counted − down, summed over nodes
    marked: list[Failure] = field(default_factory=list)
    ended: list[Failure] = field(default_factory=list)
    incidents: set[int] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * 64)
    checks: int = 0
    unknowns: int = 0


def report(start: datetime, end: datetime, *, now: datetime, pool: str = "") -> Report:
    """Every figure over [start, end), cut to the present and to 400 days, for one pool (a slug) or all."""
    end = min(end, now)
    start = max(start, end - LONGEST)
    nodes = Node.objects.filter(created_at__lt=end).filter(Q(removed_at=None) | Q(removed_at__gt=start)).select_related("pool")
    nodes = nodes.filter(pool__slug=pool) if pool else nodes
    found = list(nodes.order_by("pool__name", "name", "pk"))
    pasts = _pasts(found, start, end)
    rows: list[Row] = []
    by_pool: dict[Pool, list[Node]] = defaultdict(list)
    for node in found:
        by_pool[node.pool].append(node)
    pool_incidents = _pool_incidents(by_pool, start, end)
    for each, members in by_pool.items():
        together = _together([pasts[node.pk] for node in members])
        together.incidents = pool_incidents[each.pk]
        rows.append(_row(each.name, None, together))
        rows += [_row(each.name, node.name, pasts[node.pk]) for node in members]
    return Report(start, end, tuple(rows))


def _pasts(nodes: Sequence[Node], start: datetime, end: datetime) -> dict[int, _Past]:
    pasts = {node.pk: _Past() for node in nodes}
    aside = _time_aside(nodes, start, end)
    for node in nodes:
        past = pasts[node.pk]
        lived = [(max(start, node.created_at).timestamp(), min(end, node.removed_at or end).timestamp())]
        past.aside = intersection(union(aside[node.pk]), union(lived))
        past.counted = subtract(union(lived), past.aside)
    _add_failures(pasts, start, end)
    _add_events(pasts, start, end)
    _add_rollups(pasts, start, end)
    for past in pasts.values():
        past.down = intersection(union(past.down), past.counted)
        past.up_seconds = length(past.counted) - length(past.down)
    return pasts


def _time_aside(nodes: Sequence[Node], start: datetime, end: datetime) -> dict[int, list[Span]]:
    """Maintenance and disabled time, from the admin state's changes; before the first change a node was enabled."""
    since: dict[int, datetime] = {}
    aside: dict[int, list[Span]] = defaultdict(list)
    changes = Event.objects.filter(type=EventType.ADMIN_STATE_CHANGED, node__in=[n.pk for n in nodes], at__lt=end)
    for node, at, detail in changes.order_by("at", "pk").values_list("node_id", "at", "detail"):
        if node is None:
            continue
        if node in since:
            aside[node].append((max(since.pop(node), start).timestamp(), at.timestamp()))
        if detail.get("after") in _ASIDE:
            since[node] = at
    for node, at in since.items():
        aside[node].append((max(at, start).timestamp(), end.timestamp()))
    return aside


def _add_failures(pasts: Mapping[int, _Past], start: datetime, end: datetime) -> None:
    failures = Failure.objects.filter(node__in=pasts.keys(), first_bad_at__lt=end).filter(
        Q(recovered_at=None) | Q(recovered_at__gt=start)
    )
    for failure in failures.order_by("marked_at"):
        past = pasts[failure.node_id]
        until = min(failure.recovered_at or end, end)
        past.down.append((max(failure.first_bad_at, start).timestamp(), until.timestamp()))
        if start <= failure.marked_at < end:
            past.marked.append(failure)
            past.incidents.add(failure.incident_id)
        if failure.recovered_at is not None and start <= failure.recovered_at < end:
            past.ended.append(failure)


def _pool_incidents(pools: Iterable[Pool], start: datetime, end: datetime) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    incidents = Incident.objects.filter(pool__in=[p.pk for p in pools], detected_at__gte=start, detected_at__lt=end)
    for pool, incident in incidents.values_list("pool_id", "pk"):
        found[pool].add(incident)
    return found


def _add_events(pasts: Mapping[int, _Past], start: datetime, end: datetime) -> None:
    events = Event.objects.filter(node__in=pasts.keys(), at__gte=start, at__lt=end)
    counts = events.filter(type__in=_COUNTED_EVENTS).values_list("node_id", "type").annotate(n=Count("pk")).order_by()
    for node, kind, n in counts:
        if node is not None:
            pasts[node].events[kind] = n
    stretches: dict[tuple[int, object], int] = {}
    reopened = events.filter(type=EventType.BREAKER_REOPENED).values_list("node_id", "detail")
    for node, detail in reopened:
        if node is not None:
            stretch = (node, detail.get("first_opened_at"))
            stretches[stretch] = max(stretches.get(stretch, 0), detail.get("reopened", 1))
    for (node, _), most in stretches.items():
        pasts[node].rejected += most


def _add_rollups(pasts: Mapping[int, _Past], start: datetime, end: datetime) -> None:
    sources = " UNION ALL ".join(
        f"SELECT node_id, passes, warns, fails, unknowns, histogram FROM {grain.table} "
        f"WHERE start >= %s AND start < %s AND node_id = ANY(%s)"
        for grain, _, _ in _grains(start, end)
    )
    values: list[Any] = []
    for _, begin, stop in _grains(start, end):
        values += [begin, stop, list(pasts)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT node_id, sum(passes + warns + fails + unknowns), sum(unknowns), {merged()} "
            f"FROM ({sources}) AS r GROUP BY node_id",
            values,
        )
        for node, checks, unknowns, histogram in cursor.fetchall():
            past = pasts[node]
            past.checks, past.unknowns = checks, unknowns
            past.histogram = [count or 0 for count in histogram]


def _grains(start: datetime, end: datetime) -> list[tuple[Grain, datetime, datetime]]:
    """The coarsest roll-ups that serve a range, each followed by the finer one from where it ends."""
    days = (done_until(DAY) or start) if end - start > timedelta(days=30) else start
    hours = (done_until(HOUR) or start) if end - start > timedelta(days=1) else start
    days, hours = max(days, start), max(hours, days, start)
    return [(DAY, start, days), (HOUR, days, hours), (MINUTE, hours, end)]


def _together(pasts: Sequence[_Past]) -> _Past:
    """A pool's past: it is down while every node that counts is down."""
    whole = _Past()
    whole.counted = union(span for past in pasts for span in past.counted)
    whole.aside = subtract(union(span for past in pasts for span in past.aside), whole.counted)
    up = union(span for past in pasts for span in subtract(past.counted, past.down))
    whole.down = subtract(whole.counted, up)
    whole.up_seconds = sum(past.up_seconds for past in pasts)
    for past in pasts:
        whole.marked += past.marked
        whole.ended += past.ended
        whole.events += past.events
        whole.rejected += past.rejected
        whole.histogram = [a + b for a, b in zip(whole.histogram, past.histogram, strict=True)]
        whole.checks += past.checks
        whole.unknowns += past.unknowns
    return whole


def _row(pool: str, node: str | None, past: _Past) -> Row:
    counted, down = length(past.counted), length(past.down)
    started = past.events[EventType.RECOVERY_STARTED]
    return Row(
        pool=pool,
        node=node,
        availability=1 - down / counted if counted else None,
        downtime=down,
        counted=counted,
        set_aside=length(past.aside),
        unknown=past.unknowns / past.checks if past.checks else None,
        failures=len(past.marked),
        incidents=len(past.incidents),
        to_detect=_mean((f.first_bad_at, f.marked_at) for f in past.marked),
        to_fail_over=_mean((f.marked_at, f.moved_at) for f in past.marked if f.had_share),
        to_recover=_mean((f.marked_at, f.recovered_at) for f in past.ended),
        between_failures=past.up_seconds / len(past.marked) if past.marked else None,
        recovery_success=past.events[EventType.RECOVERY_COMPLETED] / started if started else None,
        breaker_opens=past.events[EventType.BREAKER_OPENED],
        rejected_trials=past.rejected,
        p50=quantile(past.histogram, 0.5),
        p95=quantile(past.histogram, 0.95),
        p99=quantile(past.histogram, 0.99),
        checks=past.checks,
    )


def _mean(pairs: Iterable[tuple[datetime, datetime | None]]) -> float | None:
    took = [(end - start).total_seconds() for start, end in pairs if end is not None]
    return fmean(took) if took else None
