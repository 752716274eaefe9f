"""Results become a row per node and minute, minutes become hours, hours become days.

A span is *closed* when its end and a grace have passed, because a result arrives after its check began.  Closed spans are
written by an upsert that counts them anew, so a second run, two schedulers or a crash between two steps change nothing;
`RollupProgress` remembers up to which instant each resolution is done.  When an hour closes, its minutes are counted once
more: a result that came late is then in.  All in UTC: a day has 24 hours, whatever the clocks on the wall do.

Latencies are those of passes and warnings: how fast an answer comes, not how long a time-out lasts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from nodes.engine.enums import Verdict
from nodes.ledger.letters import LETTERS
from nodes.rollups.histogram import BOUNDS, BUCKETS, merged

GRACE = timedelta(seconds=90)  # for results on their way when a minute ends
HOUR_GRACE = timedelta(minutes=15)  # for results held up, say while the database was away
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SPARE_STRIDES = 6  # further behind than this, look for the next row instead of walking through nothing
LOCK = 0x0FC00001  # advisory, held to the end of a step's transaction


class Resolution(NamedTuple):
    """One table of roll-ups: the length of its rows, how much is counted in one step, and what it is counted from."""

    name: str  # of its watermark
    table: str
    length: timedelta
    stride: timedelta
    source: str
    time: str  # column of the source


MINUTE = Resolution("minute", "nodes_minuterollup", timedelta(minutes=1), timedelta(minutes=10), "nodes_checkresult", "at")
HOUR = Resolution("hour", "nodes_hourrollup", timedelta(hours=1), timedelta(hours=1), MINUTE.table, "start")
DAY = Resolution("day", "nodes_dayrollup", timedelta(days=1), timedelta(days=1), HOUR.table, "start")


def floor(instant: datetime, length: timedelta) -> datetime:
    """The start of the span of that length, counted from the epoch, that holds `instant`."""
    return instant - (instant - EPOCH) % length


def done_until(resolution: Resolution) -> datetime | None:
    """Up to which instant the resolution is counted; None before its first run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT done_until FROM nodes_rollupprogress WHERE span = %s", [resolution.name])
        row: tuple[datetime] | None = cursor.fetchone()
    return None if row is None else row[0]


def progress() -> dict[str, datetime]:
    """Up to which instant each resolution is counted, by its name, in one query; EPOCH before its first run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT span, done_until FROM nodes_rollupprogress")
        return {each.name: EPOCH for each in (MINUTE, HOUR, DAY)} | dict(cursor.fetchall())


def roll_up(now: datetime) -> int:
    """Count every span that is closed at `now` and not done; returns how many steps that took.

    Each step is a transaction of its own.  Where another process is at it, the rest is left to that one.
    """
    steps = 0
    while _step(now):
        steps += 1
    return steps


def _step(now: datetime) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return False
        return any(_advance(resolution, closed) for resolution, closed in _closed(now))


def _closed(now: datetime) -> tuple[tuple[Resolution, datetime], ...]:
    minutes, hours = done_until(MINUTE) or EPOCH, done_until(HOUR) or EPOCH
    return (MINUTE, now - GRACE), (HOUR, min(minutes, now - HOUR_GRACE)), (DAY, hours)


def _advance(resolution: Resolution, closed: datetime) -> bool:
    """One step of a resolution towards `closed`; False when it is there."""
    until, begin = floor(closed, resolution.length), done_until(resolution)
    if until <= (begin or EPOCH):
        return False
    if begin is None or until - begin > _SPARE_STRIDES * resolution.stride:
        begin = min(floor(_first(resolution, begin or EPOCH) or until, resolution.length), until)
    end = min(begin + resolution.stride, until)
    if resolution is HOUR:
        _count(MINUTE, begin, end)
    _count(resolution, begin, end)
    _mark(resolution, end)
    return True


def _first(resolution: Resolution, begin: datetime) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min({resolution.time}) FROM {resolution.source} WHERE {resolution.time} >= %s", [begin])
        first: datetime | None = cursor.fetchone()[0]
    return first


def _count(resolution: Resolution, begin: datetime, end: datetime) -> None:
    with connection.cursor() as cursor:
        while begin < end:
            stop = min(begin + resolution.stride, end)
            span: dict[str, Any] = {
                "begin": begin,
                "end": stop,
                "length": resolution.length,
                "epoch": EPOCH,
                "bounds": list(BOUNDS),
            }
            cursor.execute(_COUNT[resolution], span)
            begin = stop


def _mark(resolution: Resolution, end: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO nodes_rollupprogress (span, done_until) VALUES (%s, %s)"
            " ON CONFLICT (span) DO UPDATE SET done_until = EXCLUDED.done_until",
            [resolution.name, end],
        )


_COLUMNS = "node_id, start, passes, warns, fails, unknowns, latency_sum, latency_max, histogram"
_UPSERT = """
ON CONFLICT (node_id, start) DO UPDATE SET passes = EXCLUDED.passes, warns = EXCLUDED.warns, fails = EXCLUDED.fails,
    unknowns = EXCLUDED.unknowns, latency_sum = EXCLUDED.latency_sum, latency_max = EXCLUDED.latency_max,
    histogram = EXCLUDED.histogram
"""
_BY_BUCKET = ", ".join(f"sum(n) FILTER (WHERE bucket = {i})::int" for i in range(BUCKETS))

_BY_VERDICT = ", ".join(
    f"count(*) FILTER (WHERE verdict = '{LETTERS[verdict]}') AS {column}"
    for verdict, column in (
        (Verdict.PASS, "passes"),
        (Verdict.WARN, "warns"),
        (Verdict.FAIL, "fails"),
        (Verdict.UNKNOWN, "unknowns"),
    )
)
_ANSWERED = f"'{LETTERS[Verdict.PASS]}', '{LETTERS[Verdict.WARN]}'"

# By node, span and bucket first, so that the 64 filters look at a few thousand rows and not at every result.
_COUNT_RESULTS = f"""
INSERT INTO {MINUTE.table} ({_COLUMNS})
SELECT node_id, start, sum(passes), sum(warns), sum(fails), sum(unknowns), coalesce(sum(latency_sum), 0), max(latency_max),
       ARRAY[{_BY_BUCKET}]
FROM (
    SELECT node_id, date_bin(%(length)s, at, %(epoch)s) AS start, width_bucket(answer, %(bounds)s::float8[]) AS bucket,
           count(*) AS n, {_BY_VERDICT},
           sum(answer) AS latency_sum, max(answer) AS latency_max
    FROM (SELECT node_id, at, verdict, CASE WHEN verdict IN ({_ANSWERED}) THEN latency::float8 END AS answer
          FROM {MINUTE.source} WHERE at >= %(begin)s AND at < %(end)s) AS result
    GROUP BY 1, 2, 3
) AS counted
GROUP BY node_id, start
{_UPSERT}
"""


def _fold(resolution: Resolution) -> str:
    return f"""
    INSERT INTO {resolution.table} ({_COLUMNS})
    SELECT node_id, date_bin(%(length)s, start, %(epoch)s), sum(passes), sum(warns), sum(fails), sum(unknowns),
           sum(latency_sum), max(latency_max), {merged()}
    FROM {resolution.source} WHERE start >= %(begin)s AND start < %(end)s
    GROUP BY 1, 2
    {_UPSERT}
    """


_COUNT = {MINUTE: _COUNT_RESULTS, HOUR: _fold(HOUR), DAY: _fold(DAY)}
