"""Ways back and reported calls through real PostgreSQL: one record for one recovery, one failover for two who see one failure."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from nodes.engine.enums import Verdict
from nodes.engine.reporting import Calls, Report
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Event, Failover, FailoverPolicy, Incident, NodeState, Pool, PoolState
from nodes.screens.decisions import decision_records
from tests.integration.checking import lease, see
from tests.telling import report_outcomes

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ALL_WELL = {"a": "pass", "b": "pass", "c": "pass"}


def shares() -> list[int]:
    return list(NodeState.objects.order_by("node__name").values_list("share", flat=True))


def node(name: str) -> int:
    return NodeState.objects.get(node__name=name).node_id


def pass_time(connection: psycopg.Connection[Row], pool: Pool, now: float) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        advance(cursor, pool.pk, now=now)


def recovery() -> Failover:
    return Failover.objects.get(kind="recovery")


@pytest.fixture
def slow(connection: psycopg.Connection[Row], pool: Pool) -> float:
    """A slow start of 100 s; b has failed and just become eligible again; the instant of that."""
    FailoverPolicy.objects.update(slow_start=100.0, recovery_threshold=1)
    now = time.time()
    see(connection, pool, ALL_WELL, now)
    NodeState.objects.update(ramp=None)
    for second in (1, 2):
        see(connection, pool, {"b": "fail"}, now + second)
    see(connection, pool, {"b": "pass"}, now + 3)
    return now + 3


def test_ten_steps_of_a_slow_start_are_one_recovery(connection: psycopg.Connection[Row], pool: Pool, slow: float) -> None:
    first = recovery()
    assert (first.status, NodeState.objects.get(node__name="b").share) == ("ramping", 333)
    for step in range(1, 10):
        see(connection, pool, ALL_WELL, slow + step * 10)
    done = recovery()
    assert (done.pk, done.status, done.epoch) == (first.pk, "completed", first.epoch)
    assert NodeState.objects.get(node__name="b").share == 3333
    texts = [step["text"] for step in done.record["steps"]]
    assert len(texts) == 11
    assert texts[-1] == "the node holds its share again"
    assert PoolState.objects.get().epoch == (first.epoch or 0) + 9


def test_the_runners_are_woken_for_each_step(connection: psycopg.Connection[Row], pool: Pool, slow: float) -> None:
    wake_at = PoolState.objects.get().wake_at
    assert wake_at is not None
    assert wake_at.timestamp() == pytest.approx(slow + 10, abs=0.01)


def test_a_slow_start_that_fails_on_its_way_says_so(connection: psycopg.Connection[Row], pool: Pool, slow: float) -> None:
    for second in (1, 2):
        see(connection, pool, {"b": "fail"}, slow + second)
    ended = recovery()
    assert (ended.status, ended.record["steps"][-1]["text"]) == ("failed", "the node may no longer serve, its return is over")
    assert NodeState.objects.get(node__name="b").ramp is None


def test_the_page_shows_the_steps_in_their_order(connection: psycopg.Connection[Row], pool: Pool, slow: float) -> None:
    pass_time(connection, pool, slow + 10)
    record = decision_records(Failover.objects.filter(kind="recovery"))[0]
    assert record.status == "ramping"
    assert [step.text for step in record.steps] == [
        f"shares moved, epoch {record.epoch}",
        f"slow start of b: step 2 of 10, 6.66 %, epoch {(record.epoch or 0) + 1}",
    ]


def test_calls_take_a_node_out_and_bring_it_back_in_one_recovery(connection: psycopg.Connection[Row], pool: Pool) -> None:
    BreakerPolicy.objects.update(timeout=0.0)
    see(connection, pool, ALL_WELL, time.time() - 1)
    report_outcomes(node("b"), Report((Calls(0, 5, time.time()),)))
    assert (shares()[1], Incident.objects.count()) == (0, 1)
    pass_time(connection, pool, time.time())
    assert shares()[1] == 100
    trial = Failover.objects.get(kind="recovery")
    report_outcomes(node("b"), Report((Calls(2, 0, time.time()),)))
    assert shares() == [3334, 3333, 3333]
    assert Failover.objects.get(kind="recovery").pk == trial.pk
    assert Incident.objects.get().closed_at is not None
    opened = Event.objects.get(type="breaker_opened")
    assert (opened.detail["opened_by"], opened.severity) == ("calls", "critical")


def test_a_window_of_calls_outlives_the_transaction(connection: psycopg.Connection[Row], pool: Pool) -> None:
    BreakerPolicy.objects.update(failure_threshold=None, failure_rate=0.5, window_seconds=60.0, minimum_calls=20)
    see(connection, pool, ALL_WELL, time.time() - 1)
    for _ in range(9):
        assert report_outcomes(node("b"), Report((Calls(1, 1, time.time()),))).breaker.state == "closed"
    assert report_outcomes(node("b"), Report((Calls(1, 1, time.time()),))).breaker.state == "open"


def test_two_sessions_that_see_the_same_failure_make_one_failover(pool: Pool) -> None:
    """Two runners hold two results of the same node: one answers the claim, the other an older one."""
    now = time.time()
    with connect("first") as connection:
        see(connection, pool, ALL_WELL, now)
        see(connection, pool, {"b": "fail"}, now + 1)
    gate = threading.Barrier(2)

    def decide(name: str, claimed: list[Any]) -> None:
        with connect(name) as connection, connection.transaction(), connection.cursor() as cursor:
            seen = Observation(Verdict.FAIL, "refused", 0.01, now + 2, now + 2)
            gate.wait(10)
            advance(cursor, pool.pk, now=now + 2, results=[Result(each.node, each.term_number, seen) for each in claimed])

    with connect("claiming") as connection:
        claims = []
        for _ in range(2):
            session = lease(connection)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("UPDATE nodes_nodestate SET due_at = '2020-01-01', owner = NULL")
                claims.append(
                    [each for each in claim(cursor, session, host="test", ahead=1, limit=9).claims if each.node == node("b")]
                )
        with ThreadPoolExecutor(2) as both:
            list(both.map(decide, ("one", "two"), claims))
    assert Failover.objects.filter(kind="failover").count() == 1
    assert Event.objects.filter(type="node_marked_failed").count() == 1
    assert shares() == [5001, 0, 4999]


def test_reports_from_many_callers_at_once_open_the_breaker_once(connection: psycopg.Connection[Row], pool: Pool) -> None:
    BreakerPolicy.objects.update(timeout=600.0)
    see(connection, pool, ALL_WELL, time.time() - 1)
    gate, target = threading.Barrier(4), node("b")

    def caller(_: int) -> None:
        try:
            gate.wait(10)
            for _ in range(5):
                report_outcomes(target, Report((Calls(0, 2, time.time()),)))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool_of_callers:
        list(pool_of_callers.map(caller, range(4)))
    state = NodeState.objects.get(node=target)
    assert (state.breaker_failed, state.breaker_late) == (5, 35)
    assert state.breaker_total - state.breaker_successful == 40
    assert Failover.objects.filter(kind="failover").count() == 1
    assert timezone.now() - (state.breaker_opened_at or timezone.now()) < timedelta(minutes=1)
