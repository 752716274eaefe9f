"""Partitions: made before they are needed, dropped whole when their time is over; no row is ever deleted.

How long rows are kept stands here and nowhere else: it is a property of the tables, the same for every process, so no
environment variable can make two processes disagree about it.  A partition goes only when the next resolution has counted
what is in it.  Days, incidents, failovers, shares and events stay for good.

Partitions are attached, which leaves writers alone, and not created in place, which would lock them out.  DETACH
CONCURRENTLY is refused for a table with a default partition, and we want one: a row is never turned away.  So detaching
takes the table's lock for an instant, waits half a second for it at the most, and otherwise comes back at the next run.

While no partition was made, rows gather in the default one.  A few are moved, each step in a transaction of its own.  Many
are not: the default partition itself becomes the partition of the time that nobody made one for, and an empty one takes its
place (`default_partition`).  At every instant each row is visible once; a run that is killed is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from nodes.rollups import default_partition
from nodes.rollups.default_partition import Span
from nodes.rollups.resolutions import DAY, EPOCH, HOUR, MINUTE, Resolution, done_until

AHEAD = timedelta(days=2)  # partitions exist this long before they are written to
LOCK_WAIT = "500ms"  # how long a change of partitions may hold up anybody
ATTEMPTS = 3
MOST_MOVED = 20_000  # rows in one step; moving them takes a fraction of a second, for which writers wait

_LOCK = 0x0FC00002  # advisory, of the session: one housekeeping at a time


class Partition(NamedTuple):
    """A partition by its bounds; the default one has none and is not among them."""

    start: datetime
    end: datetime
    name: str


@dataclass(frozen=True)
class PartitionedTable:
    """One partitioned table: the length of its partitions, and how long they stay once their time is over."""

    name: str
    time: str
    monthly: bool
    keep: timedelta
    counted_in: Resolution

    def start(self, instant: datetime) -> datetime:
        """The start of the partition that holds `instant`, in UTC."""
        day = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day.replace(day=1) if self.monthly else day

    def end(self, start: datetime) -> datetime:
        return self.start(start + timedelta(days=32 if self.monthly else 1))

    def partition(self, span: Span) -> str:
        """The name of the partition of a span: of a day or month by its start, of any other by both ends."""
        if span.end != self.end(span.start) or span.start != self.start(span.start):
            return f"{self.name}_{span.start:%Y%m%d_%H%M%S}_{span.end:%Y%m%d_%H%M%S}"
        return f"{self.name}_{span.start:%Y%m}" if self.monthly else f"{self.name}_{span.start:%Y%m%d}"

    def partitions(self) -> list[Partition]:
        """Those that exist, by their start."""
        with connection.cursor() as cursor:
            cursor.execute(_PARTITIONS, [self.name])
            return [Partition(start.astimezone(UTC), end.astimezone(UTC), name) for start, end, name in cursor.fetchall()]


_PARTITIONS = r"""
SELECT bounds[1]::timestamptz, bounds[2]::timestamptz, name
FROM (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds,
             c.oid::regclass::text AS name
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass) AS found
WHERE bounds IS NOT NULL ORDER BY 1
"""

RESULTS = PartitionedTable("nodes_checkresult", "at", monthly=False, keep=timedelta(days=7), counted_in=MINUTE)
MINUTES = PartitionedTable(MINUTE.table, "start", monthly=False, keep=timedelta(days=30), counted_in=HOUR)
HOURS = PartitionedTable(HOUR.table, "start", monthly=True, keep=timedelta(days=400), counted_in=DAY)
TABLES = (RESULTS, MINUTES, HOURS)

_What = TypeVar("_What")


@dataclass
class Housekeeping:
    """What one run did, by names of partitions; `put_off` ones were locked by others and are tried at the next run."""

    made: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)


def keep_partitions(now: datetime) -> Housekeeping:
    """Make the partitions of today and the next two days, empty the default ones, drop those past their time."""
    done = Housekeeping()
    with _alone() as alone:
        for table in TABLES if alone else ():
            _empty_default(table, now, done)
            wanted = {table.start(now), table.start(now + timedelta(days=1)), table.start(now + AHEAD)}
            _make(table, dict.fromkeys(wanted, 0) | _strays(table), done)
            for expired in _expired(table, now):
                put_off = not _patiently(_drop, table, expired)
                (done.put_off if put_off else done.dropped).append(expired.name)
    return done


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other housekeeping is at work; nobody else's begins meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        with suppress(OperationalError, InterfaceError):  # the session is gone, and its lock with it
            if alone and not connection.needs_rollback:
                connection.cursor().execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _empty_default(table: PartitionedTable, now: datetime, done: Housekeeping) -> None:
    """Make the default partition, if it holds many rows, the partition of the gap that most of them are in."""
    strays = _strays(table)
    gap = _fullest_gap(table, strays, now) if sum(strays.values()) > MOST_MOVED else None
    if gap is None:
        if default_partition.is_bounded(table.name):  # by a run that was killed, and then the rows were moved
            _unbound(table)
        return
    outside = {unit: rows for unit, rows in strays.items() if not (unit < gap.end and gap.start < table.end(unit))}
    _make(table, outside, done)
    name = table.partition(gap)
    done_well = (
        _patiently(lambda t, span: default_partition.bound(t.name, t.time, span), table, gap)
        and _patiently(lambda t, _: default_partition.validate(t.name), table, gap)
        and _patiently(lambda t, span: default_partition.replace(t.name, name, span), table, gap)
    )
    if not done_well:
        _unbound(table)
    (done.made if done_well else done.put_off).append(name)


def _unbound(table: PartitionedTable) -> None:
    _patiently(lambda t, _: default_partition.unbound(t.name), table, None)


def _fullest_gap(table: PartitionedTable, strays: Mapping[datetime, int], now: datetime) -> Span | None:
    """Of the spans without a partition the one that most rows of the default partition are in; None when there is none.

    The last one reaches as far ahead as partitions are made, so that a bound on it turns no row away for two days.
    """
    parts = table.partitions()
    starts = [min(strays), *(part.end for part in parts)]
    ends = [*(part.start for part in parts), table.end(now + AHEAD)]
    gaps = [Span(start, end) for start, end in zip(starts, ends, strict=True) if start < end]

    def rows(gap: Span) -> int:
        return sum(count for unit, count in strays.items() if unit < gap.end and gap.start < table.end(unit))

    return max(gaps, key=rows, default=None)


def _make(table: PartitionedTable, wanted: Mapping[datetime, int], done: Housekeeping) -> None:
    """Make the partitions of these days or months, by start, as far as none is there; so many rows are to be moved into each."""
    for start, rows in sorted(wanted.items()):
        for span in _slices(_uncovered(table, start), rows):
            made = _patiently(_attach, table, span)
            (done.made if made else done.put_off).append(table.partition(span))


def _uncovered(table: PartitionedTable, start: datetime) -> list[Span]:
    """What of a day or month has no partition: all of it, nothing, or what an interrupted run left."""
    left, begin = [], start
    for part in table.partitions():
        if part.end > begin and part.start < table.end(start):
            if part.start > begin:
                left.append(Span(begin, part.start))
            begin = part.end
    return [*left, Span(begin, table.end(start))] if begin < table.end(start) else left


def _slices(spans: list[Span], rows: int) -> Iterator[Span]:
    """The spans, cut so that about `MOST_MOVED` of the rows are in each piece."""
    pieces = -(-rows // MOST_MOVED) or 1
    for span in spans:
        length = (span.end - span.start) / pieces
        edges = [*((span.start + length * number).replace(microsecond=0) for number in range(pieces)), span.end]
        yield from (Span(begin, end) for begin, end in pairwise(edges) if begin < end)


def _strays(table: PartitionedTable) -> dict[datetime, int]:
    """Rows of the default partition by the start of the partition that they belong to; nearly always none."""
    with connection.cursor() as cursor:
        unit = "month" if table.monthly else "day"
        cursor.execute(f"SELECT date_trunc('{unit}', {table.time}, 'UTC'), count(*) FROM {table.name}_default GROUP BY 1")
        return {table.start(start): count for start, count in cursor.fetchall()}


def _expired(table: PartitionedTable, now: datetime) -> list[Partition]:
    limit = min(now - table.keep, done_until(table.counted_in) or EPOCH)
    return [part for part in table.partitions() if part.end <= limit]


def _patiently(change: Callable[[PartitionedTable, _What], None], table: PartitionedTable, what: _What) -> bool:
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_WAIT])
                change(table, what)
        except default_partition.OutOfBoundsError:
            return False
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        else:
            return True
    return False


def _attach(table: PartitionedTable, span: Span) -> None:
    name = table.partition(span)
    with connection.cursor() as cursor:
        # Locked first: a row that slipped into the default partition after the move would make ATTACH fail.
        cursor.execute(f"LOCK TABLE {table.name}_default IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING STORAGE)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table.name}_default WHERE {table.time} >= %s AND {table.time} < %s RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved",
            [span.start, span.end],
        )
        cursor.execute(f"ALTER TABLE {table.name} ATTACH PARTITION {name} {span.bounds}")


def _drop(table: PartitionedTable, part: Partition) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table.name} DETACH PARTITION {part.name}")
        cursor.execute(f"DROP TABLE {part.name}")
