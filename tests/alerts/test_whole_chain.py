"""From failing checks through the real ledger to messages: what a person on call gets to read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from alerts.models import Notification
from alerts.services import dispatch, routing
from nodes import operations
from nodes.engine.values import Observation, Verdict
from nodes.ledger import Result, advance, claim, open_session
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Check, FailoverPolicy, Incident, Node, NodeState, Pool
from tests.alerts import history
from tests.alerts.history import Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ME = uuid.uuid4()


@pytest.fixture
def pool() -> Pool:
    breaker = BreakerPolicy.objects.create(name="breaker")
    failover = FailoverPolicy.objects.create(name="failover", failure_threshold=3, interval=10)
    made = Pool.objects.create(name="API", slug="api", breaker_policy=breaker, failover_policy=failover)
    for name in ("a", "b", "c"):
        Check.objects.create(node=Node.objects.create(pool=made, name=name, address="127.0.0.1"))
    operations.configuration_saved(made, actor="setup", before={}, after={})
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    return made


@pytest.fixture
def connection(pool: Pool) -> Iterator[psycopg.Connection[Row]]:
    with connect("test") as opened:
        yield opened


def see(connection: psycopg.Connection[Row], pool: Pool, verdicts: dict[str, str], now: float) -> None:
    """One batch of checks with these verdicts."""
    session = open_session(connection)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_nodestate SET due_at = '2020-01-01', owner = NULL")
        names = dict(Node.objects.values_list("pk", "name"))
        claims = {names[each.node]: each for each in claim(cursor, session, ahead=1, limit=100).claims}
        results = [
            Result(claims[name].node, claims[name].token, Observation(Verdict(verdict), "connection refused", 0.01, now, now))
            for name, verdict in verdicts.items()
        ]
        advance(cursor, pool.pk, now=now, results=results)


def deliver(receiver: Receiver, now: float) -> None:
    """Everything due, as often as the destination's rate lets it."""
    for second in range(10):
        moment = datetime.fromtimestamp(now + second / 10 * 9, UTC)
        routing.route(moment)
        dispatch.tidy(moment)
        for each in dispatch.claim(moment, room=9, owner=ME):
            dispatch.record(each, dispatch.send_leased(each, receiver, now), began=moment, duration=0.1, now=moment)


def test_a_node_that_dies_and_comes_back_is_one_page_that_ends(connection: psycopg.Connection[Row], pool: Pool) -> None:
    history.pagerduty()
    receiver, now = Receiver(), time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    for tick in range(1, 11):  # ten failing checks
        see(connection, pool, {"a": "pass", "b": "fail", "c": "pass"}, now + tick)
        deliver(receiver, now + tick)
    assert receiver.actions == ["trigger"]
    incident = Incident.objects.get()
    operations.acknowledge(incident.pk, actor="vera", note="looking")
    for tick in range(60, 66):  # its breaker has waited, then half-opens and closes
        see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now + tick)
        deliver(receiver, now + tick)
    assert Incident.objects.get().closed_at is not None
    assert receiver.actions == ["trigger", "acknowledge", "resolve"]
    assert len({each["dedup_key"] for each in receiver.arrived}) == 1


def test_the_page_says_what_failed_and_where_its_share_went(connection: psycopg.Connection[Row], pool: Pool) -> None:
    history.pagerduty()
    receiver, now = Receiver(), time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    for tick in range(1, 4):
        see(connection, pool, {"b": "fail"}, now + tick)
    deliver(receiver, now + 4)
    payload = receiver.arrived[0]["payload"]
    assert payload["severity"] == "critical"
    assert payload["summary"].startswith("b failed 3 checks in a row: connection refused")
    assert payload["component"] == "b"
    assert payload["custom_details"]["what was done"].startswith("its share moved to a (now 50.01 %), c (now 49.99 %), epoch")


def test_a_pool_where_nobody_can_take_over_is_one_page_that_says_so(connection: psycopg.Connection[Row], pool: Pool) -> None:
    history.pagerduty()
    receiver, now = Receiver(), time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    for tick in range(1, 5):
        see(connection, pool, {"a": "fail", "b": "fail", "c": "fail"}, now + tick)
        deliver(receiver, now + tick)
    assert receiver.actions == ["trigger"]
    done = receiver.arrived[0]["payload"]["custom_details"]["what was done"]
    assert done.startswith("no share was moved")
    assert Notification.objects.count() == 1
