"""The whole pipeline under load: N nodes at one interval against real HTTP servers on loopback, all of it stored.

It starts `manage.py up` in a temporary directory, declares pools of 50 nodes, lets it settle for 10 s and then measures.
During the measurement one node a second is made to fail, for ten seconds, so that decisions are measured under the load.

figures
  checks_per_second          checks stored ÷ seconds
  cpu_us_per_check           CPU of the check worker and beat, user and system, ÷ checks
  lateness_p50_ms, _p99_ms   how late checks start, over all checks of the measurement, from the runners' histograms (within 9.3 %)
  lateness_worst_second_ms   the worst p99 that any runner had within one second
  decision_p50_ms, _p99_ms   from the end of the check that crossed the threshold until the new shares can be read
  growth_bytes_per_check     growth of the database ÷ checks
"""

from __future__ import annotations

import itertools
import threading
import time
import urllib.request

from rig import Target, conclude, console, declare, healthy_ports, parser, percentile

POOL = 50  # nodes
SETTLE = 10.0  # s
DOWN = 10  # s that a node fails

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
    with healthy_ports() as ports, console():
        figures = measure(given.nodes, given.interval, given.seconds, ports)
    for name, value in figures.items():
        print(f"{name:24} {value:,.1f}")
    conclude(figures, TARGETS, check=given.check)


def measure(nodes: int, interval: float, seconds: float, ports: tuple[int, ...]) -> dict[str, float]:
    from nodes.models import Runner
    from nodes.rollups.histogram import quantile

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
    before, size, cpu, began, delays = _checks(), _size(), _cpu(), time.monotonic(), _delays()
    epochs, watching = _watch_epochs()
    worst = 0.0
    for turn in range(int(seconds)):
        _switch("fail", ports[0], turn * 7 % nodes)
        if turn >= DOWN:
            _switch("well", ports[0], (turn - DOWN) * 7 % nodes)
        time.sleep(max(0.0, began + turn + 1 - time.monotonic()))
        worst = max(worst, *Runner.objects.filter(kind="checks").values_list("lateness_p99", flat=True))
    took, checks = time.monotonic() - began, _checks() - before
    lateness = [after - earlier for after, earlier in zip(_delays(), delays, strict=True)]
    watching.set()
    decisions = _decisions(epochs)
    return {
        "checks_per_second": checks / took,
        "cpu_us_per_check": (_cpu() - cpu) / checks * 1e6,
        "lateness_p50_ms": (quantile(lateness, 0.5) or 0.0) * 1000,
        "lateness_p99_ms": (quantile(lateness, 0.99) or 0.0) * 1000,
        "lateness_worst_second_ms": worst * 1000,
        "decision_p50_ms": percentile(decisions, 0.5) * 1000,
        "decision_p99_ms": percentile(decisions, 0.99) * 1000,
        "decisions": float(len(decisions)),
        "growth_bytes_per_check": (_size() - size) / checks,
    }


def _switch(act: str, port: int, node: int) -> None:
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{act}/n{node}", method="POST"), timeout=5).close()


def _checks() -> int:
    from nodes.models import CheckResult

    return CheckResult.objects.count()


def _delays() -> list[int]:
    from nodes.models import Runner

    every = Runner.objects.filter(kind="checks").values_list("lateness_histogram", flat=True)
    return [sum(counts) for counts in zip(*filter(None, every), strict=True)]


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
