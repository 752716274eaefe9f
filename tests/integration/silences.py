"""Silence in rows: time that passes, check runners that live, what was told, messages that go out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
from django.db.models import F

from alerts.services import dispatch, outcomes, routing
from nodes.ledger.clock import database_now
from nodes.ledger.rows import Row
from nodes.ledger.silence_sweep import SilenceSweep
from nodes.models import (
    BreakerPolicy,
    Check,
    Event,
    FailoverPolicy,
    FleetState,
    Lease,
    Node,
    NodeState,
    Outbox,
    Pool,
    PoolState,
    Runner,
)
from tests.alerts import history
from tests.integration.checking import see

Sweep = Callable[..., bool]
TOLD = ("checks_missing", "checks_resumed", "node_stale", "node_stale_ended", "resolver_down", "resolver_answers")


def let_pass(seconds: float, **only: object) -> None:
    """Age all verdicts, as if nobody had asked for so long."""
    NodeState.objects.filter(**only).update(observed_at=F("observed_at") - timedelta(seconds=seconds))


def later(seconds: float) -> None:
    """All that was written so far was written so much earlier."""
    span = timedelta(seconds=seconds)
    NodeState.objects.update(
        observed_at=F("observed_at") - span, checked_at=F("checked_at") - span, health_since=F("health_since") - span
    )
    for state in (FleetState, PoolState):
        state.objects.update(watched_since=F("watched_since") - span)


def live(kind: str = "checks", host: str = "one", seconds: float = 60.0) -> None:
    """A runner of this kind lives, and has for so long."""
    now = database_now()
    Lease.objects.filter(kind=kind, host=host).delete()
    numbers = {"term_number": 1_000_000 + Lease.objects.count(), "slot": 0, "pid": 1, "pid_started": 1}
    Lease.objects.create(kind=kind, host=host, deadline=now + timedelta(seconds=11), **numbers)
    begun = {"pid": 1, "started_at": now - timedelta(seconds=seconds), "seen_at": now}
    Runner.objects.update_or_create(kind=kind, host=host, slot=0, defaults=begun)


def hear(connection: psycopg.Connection[Row], pool: Pool, *names: str) -> None:
    """These nodes pass a check now."""
    see(connection, pool, dict.fromkeys(names, "pass"), database_now().timestamp())
    Lease.objects.filter(host="test").delete()


def look(connection: psycopg.Connection[Row], steady: int = 30) -> bool:
    """A look of a sweep that has turned each second for so long."""
    boot = 1000.0
    sweep = SilenceSweep(lambda: boot, lambda: boot)
    for _ in range(steady - 1):
        boot += 1.0
        sweep.turn()
    boot += 1.0
    return sweep.each_second(connection)


def more_pools(count: int, nodes: int = 1) -> list[Pool]:
    """Further pools whose nodes passed just now."""
    policies = {"breaker_policy": BreakerPolicy.objects.get(), "failover_policy": FailoverPolicy.objects.get()}
    now = database_now()
    made = [Pool.objects.create(name=f"pool {number}", slug=f"pool-{number}", **policies) for number in range(count)]
    for pool in made:
        PoolState.objects.create(pool=pool)
        for number in range(nodes):
            node = Node.objects.create(pool=pool, name=f"n{number}", address="127.0.0.1")
            Check.objects.create(node=node)
            NodeState.objects.create(node=node, pool_id=pool.pk, due_at=now, health="healthy", observed_at=now, health_since=now)
    return made


def told() -> list[tuple[str, str | None]]:
    """What was told of silence, with the pool it is about."""
    return list(Event.objects.filter(type__in=TOLD).order_by("pk").values_list("type", "pool__slug"))


def send(receiver: history.Receiver) -> None:
    """Route what happened, and send what is due."""
    now = database_now()
    routing.route(now)
    assert not Outbox.objects.exists()
    for after in range(0, 60, 2):
        at = now + timedelta(seconds=after)
        for leased in dispatch.claim(at, room=9, owner=history.new_id()):
            outcomes.record(leased, dispatch.send_leased(leased, receiver, at.timestamp()), began=at, duration=0.1, now=at)
