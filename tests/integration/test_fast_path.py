"""The fast path of a plain pass: open only where the engine would change nothing, and the same in its effect as the locked path."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.forms.models import model_to_dict

from nodes.engine.enums import Verdict
from nodes.engine.step import Step
from nodes.engine.types import Fleet, Observation
from nodes.engine.types import Pool as EnginePool
from nodes.ledger import Result, advance, claim, fast_path
from nodes.ledger.pools import transact
from nodes.ledger.rows import Row
from nodes.models import NodeState, Pool, PoolState
from tests.engine.pooling import quiet
from tests.integration.checking import lease, see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

THEN = datetime(2026, 1, 1, tzinfo=UTC)
PERTURBED: dict[str, dict[str, Any]] = {
    "unknown": {"health": "unknown"},
    "degraded": {"health": "degraded"},
    "failed": {"health": "failed"},
    "recovering": {"health": "recovering"},
    "one failure counted": {"fails": 1},
    "in doubt": {"first_bad_at": THEN},
    "stale": {"stale": True},
    "never eligible": {"ever_able": False},
    "draining": {"admin_state": "draining"},
    "maintenance": {"admin_state": "maintenance"},
    "open": {"breaker_state": "open", "breaker_opened_at": THEN},
    "half-open": {"breaker_state": "half_open"},
    "forced": {"breaker_mode": "forced_closed"},
    "metrics only": {"breaker_mode": "metrics_only"},
    "a failure counted by the breaker": {"breaker_failures": 1},
    "the result that completes the last 20": {"results": 0b1000_1000_1000_1000_1000},
}


def _engine_pool(connection: psycopg.Connection[Row], pool: Pool) -> EnginePool:
    """The pool as the ledger hands it to the engine; nothing is changed."""
    taken: list[EnginePool] = []

    def look(engine: EnginePool, _fleet: Fleet, _seen: object, _now: float) -> Step:
        taken.append(engine)
        return Step(engine, (), (), None)

    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        transact(cursor, pool.pk, look)
    return taken[0]


def _open(connection: psycopg.Connection[Row]) -> dict[int, bool]:
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_nodestate SET due_at = '2020-01-01', owner = NULL")
        return {c.node: c.fast_path for c in claim(cursor, lease(connection), host="test", ahead=1, limit=10).claims}


def test_a_settled_fleet_takes_the_fast_path(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, time.time())

    assert list(_open(connection).values()) == [True, True, True]


@pytest.mark.parametrize("changes", PERTURBED.values(), ids=PERTURBED)
def test_the_fast_path_is_shut_wherever_the_engine_has_something_to_do(
    connection: psycopg.Connection[Row], pool: Pool, changes: dict[str, Any]
) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, time.time())
    node = NodeState.objects.get(node__name="b")
    NodeState.objects.filter(pk=node.pk).update(**changes)
    engine = _engine_pool(connection, pool)
    member = next(each for each in engine.members if each.id == node.pk)

    assert not quiet(engine, member, Observation(Verdict.PASS, "", 0.01, time.time(), time.time()))
    assert _open(connection)[node.pk] is False


def test_a_busy_pool_has_no_fast_path_for_any_of_its_nodes(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)

    assert PoolState.objects.get().busy
    assert list(_open(connection).values()) == [False, False, False]


@pytest.mark.parametrize("results", [1, 0b10, 0b1100, 2**18 + 5, 2**20, 2**20 + 2**19 + 1, 2**20 + 2**19 + 2**18 + 5])
def test_both_paths_leave_the_same_row(connection: psycopg.Connection[Row], pool: Pool, results: int) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    NodeState.objects.update(results=results)
    fast, locked = (NodeState.objects.get(node__name=name) for name in ("a", "b"))
    NodeState.objects.update(due_at="2020-01-01T00:00Z", owner=None)
    with connection.cursor() as cursor:
        claims = {c.node: c for c in claim(cursor, lease(connection), host="test", ahead=1, limit=10).claims}
        claimed = claims[fast.pk]
        fast_path.write(
            cursor, [fast_path.Pass(fast.pk, claimed.term_number, claimed.version, now + 10, 0.02, now + 20, claimed.interval)]
        )
        seen = Observation(Verdict.PASS, "", 0.02, now + 10, now + 10)
        advance(cursor, pool.pk, now=now + 10, results=[Result(locked.pk, claims[locked.pk].term_number, seen)])

    one, other = (model_to_dict(NodeState.objects.get(pk=each.pk)) for each in (fast, locked))
    differing = {name for name in one if one[name] != other[name]}
    assert differing <= {"node", "due_at", "share"}  # the share differs by the basis point that three cannot divide
