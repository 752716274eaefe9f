"""A pool of three nodes in real PostgreSQL, and a connection as runners have it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from nodes import operations
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Check, FailoverPolicy, Node, NodeState, Pool


@pytest.fixture
def pool() -> Pool:
    breaker = BreakerPolicy.objects.create(name="breaker")
    failover = FailoverPolicy.objects.create(name="failover", failure_threshold=2, interval=10)
    made = Pool.objects.create(name="api", slug="api", breaker_policy=breaker, failover_policy=failover)
    for name in ("a", "b", "c"):
        Check.objects.create(node=Node.objects.create(pool=made, name=name, address="127.0.0.1"))
    operations.configuration_saved(made, actor="setup", before={}, after={})
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    return made


@pytest.fixture
def connection(pool: Pool) -> Iterator[psycopg.Connection[Row]]:
    with connect("test") as opened:
        yield opened
