"""The queries behind a report: a constant number of them, whatever the number of nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean

from django.db.models import Count, Max, Q, QuerySet

from nodes.engine.enums import ChangeKind
from nodes.models import Event, EventType, Failover, Failure, Incident, Node, Pool
from nodes.reports.rolled import Seen, seen, silences
from nodes.reports.spans import Parts, Span, divide, length, subtract, union
from nodes.rollups import quantile

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


@dataclass
class _Past:
    """What one node, or all nodes of a pool, went through."""

    failing: list[Span] = field(default_factory=list)
    time: Parts = field(default_factory=lambda: Parts([], [], [], []))
    up_seconds: float = 0.0  # counted − down, summed over nodes
    marked: list[Failure] = field(default_factory=list)
    ended: list[Failure] = field(default_factory=list)
    incidents: set[int] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    changes: Counter[str] = field(default_factory=Counter)  # of shares, by kind
    last: dict[str, datetime] = field(default_factory=dict)  # change of each kind
    moved_out: int = 0  # failures whose share is elsewhere at the end of the range
    seen: Seen = field(default_factory=Seen)


def report(start: datetime, end: datetime, *, now: datetime, pool: str = "") -> Report:
    """Every figure over [start, end), cut to the present and to 400 days, for one pool (a slug) or all."""
    end = min(end, now)
    start = max(start, end - LONGEST)
    nodes = Node.objects.filter(created_at__lt=end).filter(Q(removed_at=None) | Q(removed_at__gt=start))
    nodes = nodes.filter(pool__slug=pool) if pool else nodes
    found = list(nodes.select_related("pool__failover_policy").order_by("pool__name", "name", "pk"))
    pasts = _pasts(found, start, end, now)
    rows: list[Row] = []
    by_pool: dict[Pool, list[Node]] = defaultdict(list)
    for node in found:
        by_pool[node.pool].append(node)
    pool_incidents = _pool_incidents(by_pool, start, end)
    by_nobody = _changes(Failover.objects.filter(pool__in=[each.pk for each in by_pool], node=None), "pool_id", start, end)
    for each, members in by_pool.items():
        together = _together([pasts[node.pk] for node in members])
        together.incidents = pool_incidents[each.pk]
        _add_changes(together, by_nobody.get(each.pk, ()))
        rows.append(_row(each.name, None, together))
        rows += [_row(each.name, node.name, pasts[node.pk]) for node in members]
    return Report(start, end, tuple(rows))


def _pasts(nodes: Sequence[Node], start: datetime, end: datetime, now: datetime) -> dict[int, _Past]:
    pasts = {node.pk: _Past() for node in nodes}
    _add_failures(pasts, start, end)
    _add_events(pasts, start, end)
    for pk, changes in _changes(Failover.objects.filter(node__in=pasts.keys()), "node_id", start, end).items():
        _add_changes(pasts[pk], changes)
    for pk, checks in seen(pasts, start, end).items():
        pasts[pk].seen = checks
    aside = _time_aside(nodes, start, end)
    silent = silences({node.pk: _patience(node) for node in nodes}, start, end, now=now)
    for node in nodes:
        life = [(max(start, node.created_at).timestamp(), min(end, node.removed_at or end).timestamp())]
        past = pasts[node.pk]
        past.time = divide(life, aside=aside[node.pk], failing=past.failing, silent=silent[node.pk])
        past.up_seconds = length(past.time.counted) - length(past.time.down)
    return pasts


def _patience(node: Node) -> float:
    """How long a node may go unseen, in seconds, while its checks run as they should: as long as until it is stale."""
    policy = node.pool.failover_policy
    interval = max(node.interval or policy.interval, node.down_interval or policy.down_interval or 0.0)
    return 2 * interval + (node.check_timeout or policy.check_timeout or min(5.0, interval / 2))


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
        past.failing.append((max(failure.first_bad_at, start).timestamp(), until.timestamp()))
        if start <= failure.marked_at < end:
            past.marked.append(failure)
            past.incidents.add(failure.incident_id)
        if failure.recovered_at is not None and start <= failure.recovered_at < end:
            past.ended.append(failure)
        gone = failure.moved_at is not None and failure.moved_at < end
        past.moved_out += gone and (failure.recovered_at is None or failure.recovered_at >= end)


_Change = tuple[str, int, datetime]  # kind, how many, the last


def _changes(made: QuerySet[Failover], whose: str, start: datetime, end: datetime) -> dict[int, list[_Change]]:
    """Changes of shares that were carried out, counted by whose they are."""
    found: dict[int, list[_Change]] = defaultdict(list)
    carried_out = made.filter(at__gte=start, at__lt=end).exclude(status=Failover.Status.REFUSED)
    for key, kind, n, last in carried_out.values_list(whose, "kind").annotate(n=Count("pk"), last=Max("at")).order_by():
        found[key].append((kind, n, last))
    return found


def _add_changes(past: _Past, changes: Iterable[_Change]) -> None:
    for kind, n, last in changes:
        past.changes[kind] += n
        past.last[kind] = max(last, past.last.get(kind, last))


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
    for node, count in _rejected(pasts, start, end).items():
        pasts[node].rejected = count


def _rejected(pasts: Mapping[int, _Past], start: datetime, end: datetime) -> Counter[int]:
    """Reopenings told in the range, by node: the number told last for each opening, less the one told before the range."""
    told: dict[tuple[int, object], list[int]] = defaultdict(lambda: [0, 0])
    reopened = Event.objects.filter(node__in=pasts.keys(), type=EventType.BREAKER_REOPENED, at__gte=start - LONGEST, at__lt=end)
    for node, at, detail in reopened.values_list("node_id", "at", "detail"):
        if node is not None:
            before_and_last = told[node, detail.get("first_opened_at")]
            number = detail.get("reopened", 1)
            before_and_last[1] = max(before_and_last[1], number)
            if at < start:
                before_and_last[0] = max(before_and_last[0], number)
    rejected: Counter[int] = Counter()
    for (node, _), (before, last) in told.items():
        rejected[node] += last - before
    return rejected


def _together(pasts: Sequence[_Past]) -> _Past:
    """A pool's past: it is down while every node that counts is down."""
    whole = _Past()
    counted = union(span for past in pasts for span in past.time.counted)
    aside = subtract(union(span for past in pasts for span in past.time.aside), counted)
    unwatched = subtract(subtract(union(span for past in pasts for span in past.time.unwatched), counted), aside)
    up = union(span for past in pasts for span in subtract(past.time.counted, past.time.down))
    whole.time = Parts(aside, unwatched, counted, subtract(counted, up))
    whole.up_seconds = sum(past.up_seconds for past in pasts)
    for past in pasts:
        whole.marked += past.marked
        whole.ended += past.ended
        whole.events += past.events
        whole.rejected += past.rejected
        whole.moved_out += past.moved_out
        _add_changes(whole, [(kind, n, past.last[kind]) for kind, n in past.changes.items()])
        whole.seen.add(past.seen)
    return whole


def _row(pool: str, node: str | None, past: _Past) -> Row:
    counted, down = length(past.time.counted), length(past.time.down)
    started = past.events[EventType.RECOVERY_STARTED]
    return Row(
        pool=pool,
        node=node,
        availability=1 - down / counted if counted else None,
        downtime=down,
        counted=counted,
        set_aside=length(past.time.aside),
        unwatched=length(past.time.unwatched),
        unknown=past.seen.unknowns / past.seen.checks if past.seen.checks else None,
        failures=len(past.marked),
        last_failure=max((failure.marked_at for failure in past.marked), default=None),
        failovers=past.changes[ChangeKind.FAILOVER],
        last_failover=past.last.get(ChangeKind.FAILOVER),
        moved_out=past.moved_out,
        recoveries=len(past.ended),
        last_recovery=max((failure.recovered_at for failure in past.ended if failure.recovered_at), default=None),
        rebalances=past.changes[ChangeKind.REBALANCE],
        last_rebalance=past.last.get(ChangeKind.REBALANCE),
        incidents=len(past.incidents),
        to_detect=_mean((f.first_bad_at, f.marked_at) for f in past.marked),
        to_fail_over=_mean((f.marked_at, f.moved_at) for f in past.marked if f.had_share),
        to_recover=_mean((f.marked_at, f.recovered_at) for f in past.ended),
        between_failures=past.up_seconds / len(past.marked) if past.marked else None,
        recovery_success=past.events[EventType.RECOVERY_COMPLETED] / started if started else None,
        breaker_opens=past.events[EventType.BREAKER_OPENED],
        rejected_trials=past.rejected,
        p50=quantile(past.seen.histogram, 0.5),
        p95=quantile(past.seen.histogram, 0.95),
        p99=quantile(past.seen.histogram, 0.99),
        checks=past.seen.checks,
    )


def _mean(pairs: Iterable[tuple[datetime, datetime | None]]) -> float | None:
    took = [(end - start).total_seconds() for start, end in pairs if end is not None]
    return fmean(took) if took else None
