"""The queries behind a report: a constant number of them, whatever the number of nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean

from django.db.models import Count, Max, QuerySet

from nodes.engine.enums import ChangeKind
from nodes.models import Event, EventType, Failover, Failure, Incident, Node, Pool
from nodes.reports import times
from nodes.reports.rolled import CheckCounts, check_counts, silences
from nodes.reports.spans import Parts, Span, length
from nodes.rollups import quantile

LONGEST = timedelta(days=400)  # of a range; a longer one is cut at its start
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
    unwatched: float
    unknown: float | None
    failures: int
    last_failure: datetime | None
    incidents: int
    failovers: int
    last_failover: datetime | None
    moved_out: int
    recoveries: int
    last_recovery: datetime | None
    rebalances: int
    last_rebalance: datetime | None
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
    time: Mapping[str, Parts] = field(default_factory=dict)  # the time of each pool, by its name, to be cut into days

    @property
    def pools(self) -> list[Row]:
        return [row for row in self.rows if row.node is None]


@dataclass
class _History:
    """What happened to one node, or to all nodes of a pool, in the range."""

    failing: list[Span] = field(default_factory=list)
    time: Parts = field(default_factory=lambda: Parts([], [], [], []))
    up_seconds: float = 0.0  # measured − down, summed over nodes
    marked: list[Failure] = field(default_factory=list)
    ended: list[Failure] = field(default_factory=list)
    incidents: set[int] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    changes: Counter[str] = field(default_factory=Counter)  # of shares, by kind
    last: dict[str, datetime] = field(default_factory=dict)  # change of each kind
    moved_out: int = 0  # failures whose share is elsewhere at the end of the range
    checks: CheckCounts = field(default_factory=CheckCounts)


def report(start: datetime, end: datetime, *, now: datetime, pool: str = "") -> Report:
    """Every figure over [start, end), cut to the present and to 400 days, for one pool (a slug) or all."""
    end = min(end, now)
    start = max(start, end - LONGEST)
    nodes = times.existing(start, end)
    nodes = nodes.filter(pool__slug=pool) if pool else nodes
    found = list(nodes.order_by("pool__name", "name", "pk"))
    histories = _histories(found, start, end, now)
    rows: list[Row] = []
    divided: dict[str, Parts] = {}
    by_pool: dict[Pool, list[Node]] = defaultdict(list)
    for node in found:
        by_pool[node.pool].append(node)
    pool_incidents = _pool_incidents(by_pool, start, end)
    by_nobody = _changes(Failover.objects.filter(pool__in=[each.pk for each in by_pool], node=None), "pool_id", start, end)
    for each, members in by_pool.items():
        whole = _of_pool([histories[node.pk] for node in members])
        whole.incidents = pool_incidents[each.pk]
        _add_changes(whole, by_nobody.get(each.pk, ()))
        divided[each.name] = whole.time
        rows.append(_row(each.name, None, whole))
        rows += [_row(each.name, node.name, histories[node.pk]) for node in members]
    return Report(start, end, tuple(rows), divided)


def _histories(nodes: Sequence[Node], start: datetime, end: datetime, now: datetime) -> dict[int, _History]:
    histories = {node.pk: _History() for node in nodes}
    _add_failures(histories, start, end)
    _add_events(histories, start, end)
    for pk, changes in _changes(Failover.objects.filter(node__in=histories.keys()), "node_id", start, end).items():
        _add_changes(histories[pk], changes)
    for pk, checks in check_counts(histories, start, end).items():
        histories[pk].checks = checks
    excluded = times.excluded_time(histories, start, end)
    silent = silences({node.pk: times.patience(node) for node in nodes}, start, end, now=now)
    failing = {node: history.failing for node, history in histories.items()}
    for pk, parts in times.divided(nodes, start, end, failing=failing, excluded=excluded, silent=silent).items():
        history = histories[pk]
        history.time = parts
        history.up_seconds = length(parts.measured) - length(parts.down)
    return histories


def _add_failures(histories: Mapping[int, _History], start: datetime, end: datetime) -> None:
    for failure in times.failures_in(histories.keys(), start, end):
        history = histories[failure.node_id]
        history.failing.append(times.failing(failure, start, end))
        if start <= failure.marked_at < end:
            history.marked.append(failure)
            history.incidents.add(failure.incident_id)
        if failure.recovered_at is not None and start <= failure.recovered_at < end:
            history.ended.append(failure)
        gone = failure.moved_at is not None and failure.moved_at < end
        history.moved_out += gone and (failure.recovered_at is None or failure.recovered_at >= end)


_Change = tuple[str, int, datetime]  # kind, how many, the last


def _changes(made: QuerySet[Failover], whose: str, start: datetime, end: datetime) -> dict[int, list[_Change]]:
    """Changes of shares that were carried out, counted by whose they are."""
    found: dict[int, list[_Change]] = defaultdict(list)
    carried_out = made.filter(at__gte=start, at__lt=end).exclude(status=Failover.Status.REFUSED)
    for key, kind, n, last in carried_out.values_list(whose, "kind").annotate(n=Count("pk"), last=Max("at")).order_by():
        found[key].append((kind, n, last))
    return found


def _add_changes(history: _History, changes: Iterable[_Change]) -> None:
    for kind, n, last in changes:
        history.changes[kind] += n
        history.last[kind] = max(last, history.last.get(kind, last))


def _pool_incidents(pools: Iterable[Pool], start: datetime, end: datetime) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    incidents = Incident.objects.filter(pool__in=[p.pk for p in pools], detected_at__gte=start, detected_at__lt=end)
    for pool, incident in incidents.values_list("pool_id", "pk"):
        found[pool].add(incident)
    return found


def _add_events(histories: Mapping[int, _History], start: datetime, end: datetime) -> None:
    events = Event.objects.filter(node__in=histories.keys(), at__gte=start, at__lt=end)
    counts = events.filter(type__in=_COUNTED_EVENTS).values_list("node_id", "type").annotate(n=Count("pk")).order_by()
    for node, kind, n in counts:
        if node is not None:
            histories[node].events[kind] = n
    for node, count in _rejected(histories, start, end).items():
        histories[node].rejected = count


def _rejected(histories: Mapping[int, _History], start: datetime, end: datetime) -> Counter[int]:
    """Reopenings in the range, by node: the last number of each opening, less its last number before the range."""
    numbers: dict[tuple[int, object], list[int]] = defaultdict(lambda: [0, 0])
    reopened = Event.objects.filter(node__in=histories.keys(), type=EventType.BREAKER_REOPENED, at__gte=start - LONGEST, at__lt=end)
    for node, at, detail in reopened.values_list("node_id", "at", "detail"):
        if node is not None:
            before_and_last = numbers[node, detail.get("first_opened_at")]
            number = detail.get("reopened", 1)
            before_and_last[1] = max(before_and_last[1], number)
            if at < start:
                before_and_last[0] = max(before_and_last[0], number)
    rejected: Counter[int] = Counter()
    for (node, _), (before, last) in numbers.items():
        rejected[node] += last - before
    return rejected


def _of_pool(histories: Sequence[_History]) -> _History:
    """A pool's history: that of its nodes together."""
    whole = _History()
    whole.time = times.of_pool([history.time for history in histories])
    whole.up_seconds = sum(history.up_seconds for history in histories)
    for history in histories:
        whole.marked += history.marked
        whole.ended += history.ended
        whole.events += history.events
        whole.rejected += history.rejected
        whole.moved_out += history.moved_out
        _add_changes(whole, [(kind, n, history.last[kind]) for kind, n in history.changes.items()])
        whole.checks.add(history.checks)
    return whole


def _row(pool: str, node: str | None, history: _History) -> Row:
    measured, down = length(history.time.measured), length(history.time.down)
    started = history.events[EventType.RECOVERY_STARTED]
    return Row(
        pool=pool,
        node=node,
        availability=1 - down / measured if measured else None,
        downtime=down,
        counted=measured,
        set_aside=length(history.time.excluded),
        unwatched=length(history.time.unmonitored),
        unknown=history.checks.unknowns / history.checks.checks if history.checks.checks else None,
        failures=len(history.marked),
        last_failure=max((failure.marked_at for failure in history.marked), default=None),
        failovers=history.changes[ChangeKind.FAILOVER],
        last_failover=history.last.get(ChangeKind.FAILOVER),
        moved_out=history.moved_out,
        recoveries=len(history.ended),
        last_recovery=max((failure.recovered_at for failure in history.ended if failure.recovered_at), default=None),
        rebalances=history.changes[ChangeKind.REBALANCE],
        last_rebalance=history.last.get(ChangeKind.REBALANCE),
        incidents=len(history.incidents),
        to_detect=_mean((f.first_bad_at, f.marked_at) for f in history.marked),
        to_fail_over=_mean((f.marked_at, f.moved_at) for f in history.marked if f.had_share),
        to_recover=_mean((f.marked_at, f.recovered_at) for f in history.ended),
        between_failures=history.up_seconds / len(history.marked) if history.marked else None,
        recovery_success=history.events[EventType.RECOVERY_COMPLETED] / started if started else None,
        breaker_opens=history.events[EventType.BREAKER_OPENED],
        rejected_trials=history.rejected,
        p50=quantile(history.checks.histogram, 0.5),
        p95=quantile(history.checks.histogram, 0.95),
        p99=quantile(history.checks.histogram, 0.99),
        checks=history.checks.checks,
    )


def _mean(pairs: Iterable[tuple[datetime, datetime | None]]) -> float | None:
    took = [(end - start).total_seconds() for start, end in pairs if end is not None]
    return fmean(took) if took else None
