"""What housekeeping that was dead for two days costs the writers: millions of rows in the default partition, and none left behind.

Results of two days and of today stand in the default partition, for no partition was made. Beside the housekeeping a writer
copies a batch of results every few milliseconds over a connection of a runner, with its time-outs, and a reader compares, in one
statement each time, how many rows are to be seen with how many were committed. A session is lost when the writer must connect
anew, a lock failure is a statement of the writer that was refused a lock.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig import Target, conclude, parser, percentile

ROWS = 3_000_000
BATCH = 100  # rows the writer copies at a time
PAUSE = 0.01  # s between two batches
BESIDE = 3.0  # s for which it writes before and after
TARGETS = [
    Target("longest_wait", 1.0),
    Target("lock_failures", 0),
    Target("sessions_lost", 0),
    Target("wrong_counts", 0),
    Target("rows_left", 0),
]


@dataclass
class Written:
    """What the writer met."""

    waits: list[float] = field(default_factory=list)  # s a batch took
    lock_failures: int = 0
    sessions_lost: int = 0


@contextmanager
def database() -> Iterator[None]:
    """An embedded PostgreSQL in a temporary directory, brought up to date; nothing else runs."""
    from failover_console.embedded import Services

    with tempfile.TemporaryDirectory(prefix="failover-bench-") as directory:
        services = Services(Path(directory), with_redis=False)
        try:
            services.start()
            os.environ |= {"DATA_DIR": directory, "DJANGO_SETTINGS_MODULE": "failover_console.settings"}
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", interactive=False, verbosity=0)
            yield
        finally:
            services.stop()


def fill(cursor: Any, rows: int) -> None:
    """Forget all partitions, and write so many results of the last two days and of today into the default one."""
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'nodes_checkresult'::regclass")
    for (name,) in cursor.fetchall():
        if not name.endswith("_default"):
            cursor.execute(f"DROP TABLE {name}")
    cursor.execute(
        """INSERT INTO nodes_checkresult (node_id, at, verdict, latency)
           SELECT n %% 1000, now() - interval '2 days' * (1 - n::float8 / %s), 'p', 0.01 FROM generate_series(1, %s) n""",
        [rows, rows],
    )
    cursor.execute("CREATE TABLE bench_committed AS SELECT count(*) AS rows FROM nodes_checkresult")
    cursor.execute("ANALYZE nodes_checkresult")


def write(stop: threading.Event, found: Written) -> None:
    """Copy batches as a runner does, each in a transaction with the number of rows that are to be seen after it."""
    import psycopg

    from nodes.ledger.clock import now
    from nodes.ledger.connections import connect

    connection = connect("bench writer")
    while not stop.is_set():
        began = time.monotonic()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                at = now(cursor)
                with cursor.copy("COPY nodes_checkresult (node_id, at, verdict, latency) FROM STDIN") as copy:
                    for node in range(BATCH):
                        copy.write_row((node, time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(at)), "p", 0.01))
                cursor.execute("UPDATE bench_committed SET rows = rows + %s", [BATCH])
        except psycopg.errors.LockNotAvailable:
            found.lock_failures += 1
        except psycopg.OperationalError:
            found.sessions_lost += 1
            connection = connect("bench writer")
        found.waits.append(time.monotonic() - began)
        time.sleep(PAUSE)
    connection.close()


def read(stop: threading.Event, differences: list[int]) -> None:
    """Count what is to be seen, again and again."""
    from nodes.ledger.connections import connect

    with connect("bench reader", statement_timeout=60_000) as connection:
        while not stop.is_set():
            row = connection.execute(
                "SELECT (SELECT count(*) FROM nodes_checkresult) - rows AS difference FROM bench_committed"
            ).fetchone()
            assert row is not None
            differences.append(row["difference"])


def measure(rows: int) -> dict[str, Any]:
    from django.db import connection
    from django.utils import timezone

    from nodes.rollups import keep_partitions

    with connection.cursor() as cursor:
        fill(cursor, rows)
    stop, found, differences = threading.Event(), Written(), list[int]()
    beside = [threading.Thread(target=write, args=(stop, found)), threading.Thread(target=read, args=(stop, differences))]
    for each in beside:
        each.start()
    time.sleep(BESIDE)
    before = len(found.waits)
    began = time.monotonic()
    done = keep_partitions(timezone.now())
    took = time.monotonic() - began
    during = found.waits[before:]
    runs = 1
    while done.put_off and runs < 20:
        done, runs = keep_partitions(timezone.now()), runs + 1
    time.sleep(BESIDE)
    stop.set()
    for each in beside:
        each.join()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM nodes_checkresult_default")
        left = cursor.fetchone()[0]
    return {
        "rows": rows,
        "seconds": round(took, 2),
        "runs": runs,
        "longest_wait": round(max(during, default=0.0), 3),
        "p50_wait_during": round(percentile(during, 0.5), 4),
        "p50_wait_before": round(percentile(found.waits[:before], 0.5), 4),
        "batches_during": len(during),
        "lock_failures": found.lock_failures,
        "sessions_lost": found.sessions_lost,
        "reads": len(differences),
        "wrong_counts": sum(difference != 0 for difference in differences),
        "rows_left": left,
    }


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--rows", type=int, default=ROWS)
    given = options.parse_args()
    with database():
        figures = measure(given.rows)
    for name, value in figures.items():
        print(f"{name:>20}  {value}", file=sys.stderr)
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    main()
