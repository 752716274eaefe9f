"""Partitions: made before they are needed, dropped whole when their time is over; no row is ever deleted.

How long rows are kept stands here and nowhere else: it is a property of the tables, the same for every process, so no
environment variable can make two processes disagree about it.  A partition goes only when the next resolution has counted
what is in it.  Days, incidents, failovers and events stay for good.

Partitions are attached, which leaves writers alone, and not created in place, which would lock them out.  DETACH
CONCURRENTLY is refused for a table with a default partition, and we want one: a row is never turned away.  So detaching
takes the table's lock for an instant, waits a second for it at the most, and otherwise comes back at the next run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from nodes.rollups.resolutions import DAY, EPOCH, HOUR, MINUTE, Resolution, done_until

AHEAD = timedelta(days=2)  # partitions exist this long before they are written to
LOCK_WAIT = "1s"  # how long a change of partitions may hold up anybody
ATTEMPTS = 3

_LOCK = 0x0FC00002  # advisory, held to the end of a step's transaction


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

    def partition(self, start: datetime) -> str:
        return f"{self.name}_{start:%Y%m}" if self.monthly else f"{self.name}_{start:%Y%m%d}"

    def starts(self) -> dict[datetime, str]:
        """The partitions that exist, by their start; the default one and foreign ones are left out."""
        found = {}
        for name in _partitions(self.name):
            if part := re.fullmatch(rf"{self.name}_(\d{{4}})(\d\d)(\d\d)?", name):
                year, month, day = (int(digits or 1) for digits in part.groups())
                found[datetime(year, month, day, tzinfo=UTC)] = name
        return found


RESULTS = PartitionedTable("nodes_checkresult", "at", monthly=False, keep=timedelta(days=7), counted_in=MINUTE)
MINUTES = PartitionedTable(MINUTE.table, "start", monthly=False, keep=timedelta(days=30), counted_in=HOUR)
HOURS = PartitionedTable(HOUR.table, "start", monthly=True, keep=timedelta(days=400), counted_in=DAY)
TABLES = (RESULTS, MINUTES, HOURS)


@dataclass
class Housekeeping:
    """What one run did, by names of partitions; `put_off` ones were locked by others and are tried at the next run."""

    made: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)


def keep_partitions(now: datetime) -> Housekeeping:
    """Make the partitions of today and the next two days, empty the default ones, drop those past their time."""
    done = Housekeeping()
    for table in TABLES:
        for start in _missing(table, now):
            target = done.made if _patiently(_attach, table, start) else done.put_off
            target.append(table.partition(start))
        for start, name in _expired(table, now):
            target = done.dropped if _patiently(_drop, table, start) else done.put_off
            target.append(name)
    return done


def _missing(table: PartitionedTable, now: datetime) -> list[datetime]:
    wanted = {table.start(now), table.start(now + timedelta(days=1)), table.start(now + AHEAD), *_strays(table)}
    return sorted(wanted - table.starts().keys())


def _strays(table: PartitionedTable) -> Iterator[datetime]:
    """Starts of the partitions that rows of the default partition belong to; nearly always none."""
    with connection.cursor() as cursor:
        unit = "month" if table.monthly else "day"
        cursor.execute(f"SELECT DISTINCT date_trunc('{unit}', {table.time}, 'UTC') FROM {table.name}_default")
        yield from (table.start(row[0]) for row in cursor.fetchall())


def _expired(table: PartitionedTable, now: datetime) -> list[tuple[datetime, str]]:
    limit = min(now - table.keep, done_until(table.counted_in) or EPOCH)
    return sorted((start, name) for start, name in table.starts().items() if table.end(start) <= limit)


def _patiently(change: Callable[[PartitionedTable, datetime], None], table: PartitionedTable, start: datetime) -> bool:
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)", [LOCK_WAIT, _LOCK])
                change(table, start)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        else:
            return True
    return False


def _partitions(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
        return [row[0] for row in cursor.fetchall()]


def _attach(table: PartitionedTable, start: datetime) -> None:
    name, end = table.partition(start), table.end(start)
    if name in _partitions(table.name):
        return  # another process made it while this one waited
    with connection.cursor() as cursor:
        # Locked first: a row that slipped into the default partition after the move would make ATTACH fail.
        cursor.execute(f"LOCK TABLE {table.name}_default IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING STORAGE)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table.name}_default WHERE {table.time} >= %s AND {table.time} < %s RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved",
            [start, end],
        )
        cursor.execute(
            f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )


def _drop(table: PartitionedTable, start: datetime) -> None:
    name = table.partition(start)
    if name not in _partitions(table.name):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table.name} DETACH PARTITION {name}")
        cursor.execute(f"DROP TABLE {name}")
