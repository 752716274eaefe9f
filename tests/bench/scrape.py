"""What a scrape of `/metrics` costs: bytes and seconds, as the web process answers them, for fleets of several sizes.

The nodes are disabled, so that nothing else runs beside the scrape; 50 make a pool.  Seconds are the median of the rounds, over
HTTP, with a token; `wire` is what travels when the scraper takes gzip, as Prometheus does.  With `--history` so many failovers,
incidents, messages and attempts are written first, since counters count them anew at each scrape.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from datetime import timedelta
from statistics import median
from typing import NamedTuple

from rig import Target, conclude, console, declare, parser

IN_A_POOL = 50  # nodes
SIZES = (100, 1_000, 4_000)
TARGETS = [Target("bytes_1000", 1_300_000), Target("bytes_4000", 2_600_000), Target("seconds_1000", 0.5)]


class Scrape(NamedTuple):
    seconds: float
    size: int
    wire: int


def grow(nodes: int) -> None:
    """Add pools until there are so many nodes."""
    from nodes.models import Node, NodeState

    for first in range(Node.objects.count(), nodes, IN_A_POOL):
        names = range(first, min(nodes, first + IN_A_POOL))
        declare(f"pool-{first // IN_A_POOL:03d}", [(f"node-{number:04d}", 9, "/") for number in names], interval=3600)
    NodeState.objects.update(admin_state="disabled", health="healthy")


def remember(rows: int) -> None:
    """Write a past of so many failovers, incidents, messages and attempts."""
    from django.utils import timezone

    from alerts.models import Attempt, Destination, Notification
    from nodes.models import Event, Failover, Incident, Pool

    now, pool = timezone.now(), Pool.objects.earliest("pk")
    later, record = now + timedelta(seconds=3), {"considered": [{"name": f"node-{n}", "rule": "eligible"} for n in range(20)]}
    slack = Destination.objects.create(name="bench", kind="slack", enabled=False)
    event = Event.objects.create(at=now, type="node_marked_failed", severity="critical", actor="engine", message="failed")
    ended = {"pool": pool, "completed_at": later, "shares_before": {}, "shares_after": {}, "record": record}
    Failover.objects.bulk_create(
        [
            Failover(kind="failover", status="completed", epoch=10_000 + n, at=now, actor="engine", reason="", **ended)
            for n in range(rows)
        ],
        batch_size=2_000,
    )
    spans = {"opened_at": now, "detected_at": now, "closed_at": later, "severity": "critical", "summary": "bench"}
    Incident.objects.bulk_create([Incident(pool=pool, **spans) for _ in range(rows)], batch_size=2_000)
    sent = {"payload": {}, "due_at": now, "created_at": now, "status": "delivered", "delivered_at": later, "severity": "critical"}
    messages = Notification.objects.bulk_create(
        [Notification(destination=slack, event=event, action="trigger", dedup_key=f"bench-{n}", **sent) for n in range(rows)],
        batch_size=2_000,
    )
    Attempt.objects.bulk_create([Attempt(notification=each, at=now, outcome="retry") for each in messages], batch_size=2_000)


def scrape(address: str, token: str, encoding: str) -> tuple[float, int]:
    asked = urllib.request.Request(f"{address}/metrics", headers={"Authorization": f"Bearer {token}", "Accept-Encoding": encoding})
    began = time.monotonic()
    with urllib.request.urlopen(asked, timeout=30) as answer:
        size = len(answer.read())
    return time.monotonic() - began, size


def measured(address: str, token: str, rounds: int) -> Scrape:
    scrape(address, token, "gzip")
    zipped = [scrape(address, token, "gzip") for _ in range(rounds)]
    return Scrape(median(seconds for seconds, _ in zipped), scrape(address, token, "identity")[1], zipped[-1][1])


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--history", type=int, default=0)
    given = arguments.parse_args()
    figures: dict[str, float] = {}
    with console() as address:
        from nodes.models import ApiToken

        issued = ApiToken(name="bench", scopes=["metrics"])
        token = issued.issue()
        issued.save()
        print(f"{'nodes':>8}{'seconds':>12}{'bytes':>12}{'wire':>12}")
        for size in SIZES:
            grow(size)
            if given.history and size == SIZES[0]:
                remember(given.history)
            found = measured(address, token, given.rounds)
            print(f"{size:>8}{found.seconds:>12.3f}{found.size:>12,}{found.wire:>12,}", flush=True)
            figures |= {f"seconds_{size}": round(found.seconds, 3), f"bytes_{size}": found.size, f"wire_{size}": found.wire}
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
