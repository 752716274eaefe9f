"""Nodes that answer strangely among good ones: whether the good ones are checked in time and fail over as promised.

It starts `manage.py up` in a temporary directory, declares pools of 50 good nodes and their part of hostile ones
(`hostile_targets.py`, a niced process: answers without end of every kind, redirects, bytes that drip, silence), lets it settle and
then measures.  During the measurement a good node of another pool begins to fail every second second.

figures
  stall_own_ms               the longest that a runner's loop stood still while its own thread had the processor
  lag_p999_ms, lag_worst_ms  how late a task that sleeps 5 ms wakes in a runner's loop, over all runners, whoever had the processor
  lateness_p99_ms            how late checks start, over all checks of the measurement, from the runners' histograms (within 9.3 %)
  failover_worst_s, _median_s  from a good node's failing until its share is gone
  failovers_missing          good nodes whose share had not gone
  isolations                 times that a checker was isolated
  checks_per_second, hostile_checks_per_second
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pipeline
from detection import promise
from rig import Target, conclude, console, declare, free_port, healthy_ports, parser, percentile

POOL = 50  # good nodes
SETTLE = 15.0  # s
EVERY = 2.0  # s between two failures
DOWN = 20.0  # s that a node fails
INTERVAL = 1.0  # s


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--nodes", type=int, default=1000, help="good ones")
    arguments.add_argument("--hostile", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=60.0, help="of measurement")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="failover-samples-") as samples, healthy_ports() as ports, hostile_port() as hostile:
        sampled = os.pathsep.join([str(Path(__file__).with_name("sampled")), *filter(None, [os.environ.get("PYTHONPATH")])])
        with console(SAMPLES=samples, PYTHONPATH=sampled):
            figures = measure(given.nodes, given.hostile, given.seconds, ports, hostile, Path(samples))
    for name, value in figures.items():
        print(f"{name:26} {value:,.2f}")
    targets = [
        Target("stall_own_ms", 50),
        Target("lag_p999_ms", 100),
        Target("lateness_p99_ms", 250),
        Target("failover_worst_s", promise(INTERVAL, "refusing")),
        Target("failovers_missing", 0),
        Target("isolations", 0),
    ]
    for each in targets:
        if not each.met(figures[each.name]):
            print(f"MISSED: {each.name} is {figures[each.name]:.2f}, target {each.bound:g}")
    conclude(figures, targets, check=given.check)


@contextmanager
def hostile_port() -> Iterator[int]:
    """The port of the hostile nodes, whose process is niced: they are to cost the console, not its machine."""
    port = free_port()
    line = ["nice", "-n", "10", sys.executable, str(Path(__file__).with_name("hostile_targets.py")), str(port)]
    targets = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        assert targets.stdout is not None
        targets.stdout.readline()
        yield port
    finally:
        targets.terminate()
        targets.wait()


def measure(nodes: int, hostile: int, seconds: float, ports: tuple[int, ...], hostile_at: int, samples: Path) -> dict[str, float]:
    from django.db.models import F

    from nodes.models import Check, Event, FleetState, Node
    from nodes.rollups.histogram import quantile

    pools = max(1, nodes // POOL)
    for number in range(pools):
        good = [(f"node-{i}", ports[i % len(ports)], f"/n{i}") for i in range(number * POOL, (number + 1) * POOL)]
        strange = [(f"hostile-{i}", hostile_at, f"/h{i}") for i in range(hostile) if i % pools == number]
        declare(
            f"bench-{number}",
            good + strange,
            interval=INTERVAL,
            check_timeout=INTERVAL / 2,
            fast_interval=INTERVAL,
            cooldown=0.0,
            max_failed_percent=100,
        )
    Check.objects.filter(node__name__startswith="hostile").update(follow_redirects=True)
    FleetState.objects.update(config_version=F("config_version") + 1)
    time.sleep(SETTLE)
    checks, delays, began = _checks(), pipeline._delays(), time.time()
    took, missing = _kill(seconds, ports, pools, {each.name: each.pk for each in Node.objects.all()})
    until = time.time()
    lateness = [after - earlier for after, earlier in zip(pipeline._delays(), delays, strict=True)]
    lags, own = _samples(samples, began, until)
    made = {kind: number - checks[kind] for kind, number in _checks().items()}
    return {
        "stall_own_ms": max(own, default=0.0) * 1000,
        "lag_p999_ms": percentile(lags, 0.999) * 1000,
        "lag_worst_ms": max(lags, default=0.0) * 1000,
        "lateness_p99_ms": (quantile(lateness, 0.99) or 0.0) * 1000,
        "failover_worst_s": max(took, default=0.0),
        "failover_median_s": median(took) if took else 0.0,
        "failovers_missing": float(missing),
        "failovers": float(len(took)),
        "isolations": float(Event.objects.filter(type__in=("checker_isolated", "no_checker_believed")).count()),
        "samples": float(len(lags)),
        "checks_per_second": made["good"] / (until - began),
        "hostile_checks_per_second": made["hostile"] / (until - began),
    }


def _kill(seconds: float, ports: tuple[int, ...], pools: int, ids: dict[str, int]) -> tuple[list[float], int]:
    """Let good nodes fail, each of another pool; how long until each one's share was gone, and of how many it was not."""
    from nodes.models import NodeState

    dying: dict[int, float] = {}
    well_at: list[tuple[float, int]] = []
    took: list[float] = []
    began, turn = time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds or (dying and now < began + seconds + 15.0):
        if now < began + seconds and now >= began + turn * EVERY:
            node = turn % pools * POOL + turn // pools % POOL
            if NodeState.objects.get(pk=ids[f"node-{node}"]).share:
                dying[ids[f"node-{node}"]] = time.monotonic()
            pipeline._switch("fail", ports[0], node)
            well_at.append((now + DOWN, node))
            turn += 1
        while well_at and well_at[0][0] < now:
            pipeline._switch("well", ports[0], well_at.pop(0)[1])
        gone = NodeState.objects.filter(pk__in=list(dying), share=0).values_list("pk", flat=True)
        took += [time.monotonic() - dying.pop(each) for each in gone]
        time.sleep(0.02)
    return took, len(dying)


def _checks() -> dict[str, int]:
    from nodes.models import CheckResult, Node

    strange = CheckResult.objects.filter(
        node_id__in=list(Node.objects.filter(name__startswith="hostile").values_list("pk", flat=True))
    )
    return {"good": CheckResult.objects.count() - strange.count(), "hostile": strange.count()}


def _samples(directory: Path, began: float, until: float) -> tuple[list[float], list[float]]:
    """How late the loops of all runners were, and how much of it was their own, in seconds."""
    lines: list[dict[str, Any]] = []
    for file in directory.glob("*.json"):
        lines += [json.loads(line) for line in file.read_text().splitlines()]
    found = [sample for line in lines if began <= line["at"] <= until for sample in line["samples"]]
    return [late for late, _ in found], [own for _, own in found]


if __name__ == "__main__":
    main()
