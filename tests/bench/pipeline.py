"""The whole pipeline under load: N nodes at one interval against real HTTP servers on loopback, all of it stored.

It starts `manage.py up` in a temporary directory, declares pools of 50 nodes, lets it settle for 10 s and then measures.
During the measurement one node a second is made to fail, so that decisions are measured under the load.

figures
  checks_per_second          checks stored ÷ seconds
  cpu_us_per_check           CPU of the check worker and beat, user and system, ÷ checks
  lateness_p50_ms, _p99_ms   how late checks start, as the runners report it (worst period of any runner)
  decision_p99_ms            from the end of the check that crossed the threshold until the new shares can be read
  growth_bytes_per_check     growth of the database ÷ checks
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from rig import Target, conclude, console, declare, free_port, parser, percentile

POOL = 50  # nodes
SETTLE = 10.0  # s

TARGETS = [
    Target("checks_per_second", 990, at_least=True),
    Target("lateness_p99_ms", 250),
    Target("cpu_us_per_check", 700),
    Target("decision_p99_ms", 250),
]


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--nodes", type=int, default=1000)
    arguments.add_argument("--interval", type=float, default=1.0, help="seconds")
    arguments.add_argument("--seconds", type=float, default=60.0, help="of measurement")
    given = arguments.parse_args()
    ports = [free_port() for _ in range(4)]
    targets = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("targets.py")), *map(str, ports)], stdout=subprocess.PIPE
    )
    try:
        assert targets.stdout is not None
        targets.stdout.readline()
        with console():
            figures = measure(given.nodes, given.interval, given.seconds, ports)
    finally:
        targets.terminate()
        targets.wait()
    for name, value in figures.items():
        print(f"{name:24} {value:,.1f}")
    conclude(figures, TARGETS, check=given.check)


def measure(nodes: int, interval: float, seconds: float, ports: list[int]) -> dict[str, float]:
    from nodes.models import Runner

    spread = itertools.cycle(ports)
    for first in range(0, nodes, POOL):
        members = [(f"node-{i}", next(spread), f"/n{i}") for i in range(first, min(first + POOL, nodes))]
        declare(
            f"bench-{first // POOL}",
            members,
            interval=interval,
            check_timeout=min(5.0, interval / 2),
            fast_interval=min(interval, 2.0),
        )
    time.sleep(SETTLE)
    before, size, cpu, began = _checks(), _size(), _cpu(), time.monotonic()
    epochs, watching = _watch_epochs()
    lateness: list[tuple[float, float]] = []
    for turn in range(int(seconds)):
        _fail(ports[0], turn * 7 % nodes)
        time.sleep(max(0.0, began + turn + 1 - time.monotonic()))
        lateness += [(r.lateness_p50, r.lateness_p99) for r in Runner.objects.filter(kind="checks")]
    took, checks = time.monotonic() - began, _checks() - before
    watching.set()
    decisions = _decisions(epochs)
    return {
        "checks_per_second": checks / took,
        "cpu_us_per_check": (_cpu() - cpu) / checks * 1e6,
        "lateness_p50_ms": percentile([p50 for p50, _ in lateness], 0.5) * 1000,
        "lateness_p99_ms": max((p99 for _, p99 in lateness), default=0.0) * 1000,
        "decision_p99_ms": percentile(decisions, 0.99) * 1000,
        "decisions": float(len(decisions)),
        "growth_bytes_per_check": (_size() - size) / checks,
    }


def _fail(port: int, node: int) -> None:
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/fail/n{node}", method="POST"), timeout=5).close()


def _checks() -> int:
    from nodes.models import CheckResult

    return CheckResult.objects.count()


def _size() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _cpu() -> float:
    """Seconds of CPU of the check worker, its children and beat."""
    import os

    import psutil

    total = 0.0
    mark = os.environ["DATA_DIR"]
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = "celery" in " ".join(words) and process.environ().get("DATA_DIR") == mark
            if ours and ("beat" in words or "checks" in words):
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.Error:
            continue
    return total


def _watch_epochs() -> tuple[dict[tuple[int, int], float], threading.Event]:
    """(pool, epoch) -> when it could first be read, by looking every 5 ms; ends with the event."""
    from nodes.ledger.connections import connect

    seen: dict[tuple[int, int], float] = {}
    ended = threading.Event()

    def look() -> None:
        with connect("failover bench") as connection:
            while not ended.wait(0.005):
                for row in connection.execute("SELECT pool_id, epoch FROM nodes_poolstate").fetchall():
                    seen.setdefault((row["pool_id"], row["epoch"]), time.time())

    threading.Thread(target=look, daemon=True).start()
    return seen, ended


def _decisions(epochs: dict[tuple[int, int], float]) -> list[float]:
    """Seconds from the end of the check that crossed the threshold until its failover could be read."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT f.pool_id, f.epoch, extract(epoch FROM r.at)::float8 + coalesce(r.latency, 0)
               FROM nodes_failover f CROSS JOIN LATERAL (
                   SELECT at, latency FROM nodes_checkresult
                   WHERE node_id = f.node_id AND at <= f.at AND verdict = 'f' ORDER BY at DESC LIMIT 1
               ) r WHERE f.kind = 'failover' AND f.epoch IS NOT NULL"""
        )
        return [epochs[pool, epoch] - ended for pool, epoch, ended in cursor.fetchall() if (pool, epoch) in epochs]


if __name__ == "__main__":
    main()
