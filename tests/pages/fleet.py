"""A small fleet with a past, made by the real ledger: what pages are looked at with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone
from psycopg.rows import dict_row

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger import Result, advance
from nodes.models import (
    BreakerPolicy,
    Check,
    CheckResult,
    FailoverPolicy,
    FleetState,
    Lease,
    Node,
    NodeState,
    Pool,
    PoolState,
    Runner,
)


def policies(**changes: object) -> tuple[BreakerPolicy, FailoverPolicy]:
    return (
        BreakerPolicy.objects.get_or_create(name="Standard")[0],
        FailoverPolicy.objects.get_or_create(name="Standard", defaults={"interval": 5.0, "check_timeout": 2.0, **changes})[0],
    )


def pool(name: str, slug: str, names: Iterable[str], now: datetime, *, strategy: str = "weighted", tiers: bool = False) -> Pool:
    """A pool whose nodes have never been checked."""
    breaker, failover = policies()
    made = Pool.objects.create(name=name, slug=slug, strategy=strategy, breaker_policy=breaker, failover_policy=failover)
    PoolState.objects.create(pool=made)
    FleetState.objects.get_or_create(pk=1)
    for number, each in enumerate(names):
        node = Node.objects.create(
            pool=made, name=each, address=f"10.20.{made.pk % 250}.{number + 11}", port=8080, zone="abc"[number % 3] + "-east",
            priority=number + 1 if tiers else 1,
        )  # fmt: skip
        Check.objects.create(node=node, path="/health")
        NodeState.objects.create(node=node, pool_id=made.pk, due_at=now + timedelta(seconds=4), health_since=now)
    return made


def observe(made: Pool, at: datetime, seen: dict[str, tuple[Verdict, str]] | None = None, *, latency: float = 0.021) -> None:
    """One round of checks of a pool; nodes that `seen` does not name pass."""
    started = at.timestamp()
    results = []
    for node_id, name, term_number in NodeState.objects.filter(pool_id=made.pk).values_list("node_id", "node__name", "token"):
        verdict, message = (seen or {}).get(name, (Verdict.PASS, ""))
        took = latency * (1 + node_id % 5 / 3)
        results.append(Result(node_id, term_number, Observation(verdict, message, took, started, started + took)))
        CheckResult.objects.create(node_id=node_id, at=at, verdict=verdict[0], latency=took, message=message or None)
    with transaction.atomic(), connection.cursor() as wrapper:
        cursor = wrapper.cursor
        cursor.row_factory = dict_row
        advance(cursor, made.pk, now=started + latency, results=results)


def rounds(
    made: Pool, start: datetime, count: int, seen: dict[str, tuple[Verdict, str]] | None = None, *, every: float = 5.0
) -> datetime:
    """So many rounds from an instant on; returns when the next would be."""
    for number in range(count):
        observe(made, start + timedelta(seconds=every * number), seen)
    return start + timedelta(seconds=every * count)


def runners(now: datetime) -> None:
    for kind, slot in (("checks", 0), ("checks", 1), ("alerts", 0)):
        Runner.objects.create(host="console", slot=slot, kind=kind, pid=slot + 1, started_at=now, seen_at=now, lateness_p99=0.012)
        ends = timezone.now() + timedelta(seconds=6)  # leases are of the database's own time
        Lease.objects.create(
            term_number=len(Lease.objects.all()) + 1,
            host="console",
            slot=slot,
            kind=kind,
            pid=slot + 1,
            pid_started=1,
            deadline=ends,
        )
