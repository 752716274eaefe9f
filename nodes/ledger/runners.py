"""The rows of runners and web processes: where each works, since when, when it was last seen, what it has counted.

A row is a slot's (or a web process's port), not a process's: its counts grow over all terms.  Each process writes its own row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from nodes.ledger.rows import Cursor, Row, moment

CLOCK_OFF = 1.0  # s by which a host's clock may differ from the database's before it is named
GAP = 15  # s unseen after which a process counts as gone, and as begun anew when it is back

_SIGN = """
INSERT INTO nodes_runner (host, slot, kind, pid, started_at, seen_at, checks, late, stale_results, stalls, lateness_p50,
                          lateness_p99, lateness_histogram, latency_buckets, latency_sum, verdicts, clock_ahead)
VALUES (%(host)s, %(slot)s, %(kind)s, %(pid)s, now(), now(), 0, 0, 0, 0, 0, 0, '{}', '{}', 0, '{}',
        %(clock)s - extract(epoch FROM clock_timestamp()))
ON CONFLICT (host, kind, slot) DO UPDATE SET pid = excluded.pid, seen_at = excluded.seen_at, clock_ahead = excluded.clock_ahead,
    started_at = CASE WHEN %(anew)s OR nodes_runner.seen_at <= now() - make_interval(secs => %(gap)s)
                      THEN excluded.started_at ELSE nodes_runner.started_at END
"""


def sign(connection: psycopg.Connection[Row], *, kind: str, host: str, slot: int, pid: int, anew: bool = False) -> None:
    """Write that process `pid` is there, and how this host's clock differs from the database's.

    It counts as begun now if `anew`, or if nobody signed for `GAP` seconds.
    """
    connection.execute(_SIGN, _signature(kind, host, slot, pid, anew=anew))


async def sign_listening(
    connection: psycopg.AsyncConnection[Row], *, host: str, port: int, pid: int, missed_for: float | None
) -> None:
    """`sign` for a web process; `missed_for` seconds ago it may have lost a heartbeat, None when none since it last signed."""
    async with connection.transaction():
        await connection.execute(_SIGN, _signature("web", host, port, pid, anew=False))
        if missed_for is not None:
            await connection.execute(
                """UPDATE nodes_runner SET missed_at = now() - make_interval(secs => %s)
                   WHERE host = %s AND kind = 'web' AND slot = %s""",
                (missed_for, host, port),
            )


def _signature(kind: str, host: str, slot: int, pid: int, *, anew: bool) -> dict[str, Any]:
    return {"host": host, "slot": slot, "kind": kind, "pid": pid, "anew": anew, "gap": GAP, "clock": time.time()}


class Listening(NamedTuple):
    """From when, in epoch seconds, web processes took every heartbeat that reached them, until one last signed that it does."""

    since: float
    until: float


def listening(cursor: Cursor, now: float) -> Listening | None:
    """Who could have received heartbeats; None where no web process is known to live."""
    cursor.execute(
        """SELECT greatest(min(started_at) FILTER (WHERE seen_at > %(alive)s), max(missed_at)) AS since,
                  max(seen_at) FILTER (WHERE seen_at > %(alive)s) AS until
           FROM nodes_runner WHERE kind = 'web'""",
        {"alive": moment(now - GAP)},
    )
    row = cursor.fetchone()
    if row is None or row["until"] is None:
        return None
    return Listening(row["since"].timestamp(), row["until"].timestamp())


@dataclass(frozen=True, slots=True)
class Counts:
    """What a check runner counted since its last report; the first two are histograms over all terms."""

    latency_buckets: list[int]
    lateness_histogram: list[int]
    verdicts: dict[str, int]  # over all terms
    checks: int
    late: int
    outdated: int
    stalls: int
    lateness_p50: float
    lateness_p99: float
    latency_sum: float
    loop_lag: float  # seconds, the worst since the last report


def totals(cursor: Cursor, host: str, slot: int) -> Row | None:
    """What the check runners of a slot have counted over all terms, as far as sums are made in Python.

    Locks the row: at a change of terms two runners report for one slot, and the counts of both must stay.
    """
    cursor.execute(
        """SELECT verdicts, latency_buckets, lateness_histogram FROM nodes_runner
           WHERE host = %s AND kind = 'checks' AND slot = %s FOR UPDATE""",
        (host, slot),
    )
    return cursor.fetchone()


def add(cursor: Cursor, host: str, slot: int, counts: Counts, now: datetime | None) -> None:
    """Add a report to the slot's row."""
    values: dict[str, Any] = {name: getattr(counts, name) for name in Counts.__dataclass_fields__}
    cursor.execute(
        """UPDATE nodes_runner SET seen_at = %(now)s, checks = checks + %(checks)s, late = late + %(late)s,
                  stale_results = stale_results + %(outdated)s, stalls = stalls + %(stalls)s, lateness_p50 = %(lateness_p50)s,
                  lateness_p99 = %(lateness_p99)s, lateness_histogram = %(lateness_histogram)s,
                  latency_buckets = %(latency_buckets)s, latency_sum = latency_sum + %(latency_sum)s, verdicts = %(verdicts)s,
                  loop_lag = %(loop_lag)s
           WHERE host = %(host)s AND kind = 'checks' AND slot = %(slot)s""",
        values | {"verdicts": Jsonb(counts.verdicts), "now": now, "host": host, "slot": slot},
    )
