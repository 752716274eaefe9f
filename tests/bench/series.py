"""What the charts' queries cost over a long past: 1 000 nodes in 200 pools, a year of roll-ups, 100 000 changes of shares.

It starts an embedded PostgreSQL in a temporary directory, fills it (`history.seed`), and calls each reader several times; a figure
is the least in milliseconds, the first call of each left out.

figures
  shares_year, shares_day        the band of a pool with 100 000 changes
  latency_*, availability_*      of a node, and of its pool, over 24 hours and a year
  uptime                         of a node, 24 h to 90 d
  states, present                the strips and the figures of all 200 pools
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from default_partition import database
from history import Size, seed
from rig import Target, conclude, parser

ROUNDS = 5
TARGETS = [
    Target("shares_year", 100), Target("shares_day", 100), Target("latency_node_year", 100), Target("latency_pool_day", 100),
    Target("availability_node_year", 100), Target("uptime", 100), Target("states", 300), Target("present", 100),
]  # fmt: skip  # as short as a table


def measure(size: Size) -> dict[str, Any]:
    from django.utils import timezone

    from nodes import series
    from nodes.models import Node, Pool

    now = timezone.now()
    began = time.monotonic()
    seed(now, size)
    figures: dict[str, Any] = {"seeding_s": round(time.monotonic() - began, 1)}
    pool = Pool.objects.order_by("pk")[0]
    members = list(Node.objects.filter(pool=pool))
    node, pools = members[0], list(Pool.objects.values_list("pk", flat=True))
    ids = [each.pk for each in members]
    day, year = series.Range.DAY.window(now), series.Range.YEAR.window(now)
    readers: dict[str, Callable[[], object]] = {
        "shares_year": lambda: series.shares_over(pool.pk, year.start, now),
        "shares_day": lambda: series.shares_over(pool.pk, day.start, now),
        "latency_node_day": lambda: series.latency_over([node.pk], *day),
        "latency_pool_day": lambda: series.latency_over(ids, *day),
        "latency_node_year": lambda: series.latency_over([node.pk], *year),
        "latency_pool_year": lambda: series.latency_over(ids, *year),
        "availability_node_day": lambda: series.availability_over(node, *day, now=now),
        "availability_node_year": lambda: series.availability_over(node, *year, now=now),
        "availability_pool_year": lambda: series.availability_over(pool, *year, now=now),
        "uptime": lambda: series.uptime(node, now),
        "states": lambda: series.read_states_24h(pools, now),
        "present": lambda: series.read_pools_now(pools, now),
    }
    return figures | {name: _milliseconds(read) for name, read in readers.items()}


def _milliseconds(read: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        read()
        took.append((time.perf_counter() - began) * 1000)
    return round(min(took[1:]), 1)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--nodes", type=int, default=Size.nodes)
    options.add_argument("--pools", type=int, default=Size.pools)
    options.add_argument("--events", type=int, default=Size.events)
    options.add_argument("--results", type=int, default=Size.results)
    given = options.parse_args()
    with database():
        figures = measure(Size(given.nodes, given.pools, given.events, given.results))
    for name, value in figures.items():
        print(f"{name:>24}  {value}", file=sys.stderr)
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    main()
