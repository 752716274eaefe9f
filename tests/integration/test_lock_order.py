"""Locks are taken in one order, so that nobody waits in a circle: each pair is tried with two real connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from nodes import offers, operations
from nodes.ledger.connections import connect
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Row
from nodes.models import Incident, Pool
from nodes.operations import Refused
from tests.integration.checking import see
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Start = Callable[[Callable[[], Any]], "Future[Any]"]


@pytest.fixture
def beside() -> Iterator[Start]:
    """Does work on a connection of its own while the test goes on."""
    with ThreadPoolExecutor(1) as thread:

        def start(work: Callable[[], Any]) -> Future[Any]:
            def closing() -> Any:
                try:
                    return work()
                finally:
                    connections.close_all()

            return thread.submit(closing)

        yield start


@pytest.fixture
def incident(connection: psycopg.Connection[Row], pool: Pool) -> Incident:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now - 30)
    see(connection, pool, {"a": "fail"}, now - 20)
    see(connection, pool, {"a": "fail"}, now - 10)
    return Incident.objects.get(closed_at=None)


def waits(connection: psycopg.Connection[Row]) -> None:
    """Until somebody waits for a lock."""
    asked = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    eventually(lambda: connection.execute(asked).fetchone()["n"], 2, "somebody waits")  # type: ignore[index]  # a count answers


def test_who_closes_an_incident_meets_no_acknowledgement_that_holds_it(
    connection: psycopg.Connection[Row], pool: Pool, incident: Incident, beside: Start
) -> None:
    with connect("watches") as watching, connection.transaction(), connection.cursor() as cursor:
        lock_fleet(cursor)
        cursor.execute("SELECT 1 FROM nodes_poolstate WHERE pool_id = %s FOR UPDATE", (pool.pk,))
        acknowledging = beside(lambda: operations.acknowledge(incident.pk, actor="maria", note="on it"))
        waits(watching)
        cursor.execute("UPDATE nodes_incident SET severity = severity WHERE id = %s", (incident.pk,))
    acknowledging.result(5)
    incident.refresh_from_db()
    assert incident.acknowledged_by == "maria"


def test_who_acknowledges_first_lets_it_be_closed_afterwards(
    connection: psycopg.Connection[Row], pool: Pool, incident: Incident, beside: Start
) -> None:
    def close() -> None:
        with connect("closes") as closing:
            see(closing, pool, {"a": "pass"}, time.time() - 1)
            see(closing, pool, {"a": "pass"}, time.time())

    with transaction.atomic():
        operations.acknowledge(incident.pk, actor="maria", note="on it")
        closing = beside(close)
        waits(connection)
    closing.result(5)
    incident.refresh_from_db()
    assert incident.acknowledged_by == "maria"
    assert incident.closed_at is not None


def test_who_renames_a_pool_keeps_no_event_of_it_waiting(
    connection: psycopg.Connection[Row], pool: Pool, admin_client: Client, beside: Start
) -> None:
    address = reverse("admin:nodes_pool_change", args=[pool.pk])
    fields = {
        "name": "renamed", "slug": "renamed", "strategy": pool.strategy, "breaker_policy": pool.breaker_policy_id,
        "failover_policy": pool.failover_policy_id, "runbook": "",
    }  # fmt: skip  # field beside field
    with connect("watches") as watching, connection.transaction(), connection.cursor() as cursor:
        lock_fleet(cursor)
        cursor.execute("SELECT 1 FROM nodes_poolstate WHERE pool_id = %s FOR UPDATE", (pool.pk,))
        renaming = beside(lambda: admin_client.post(address, fields))
        waits(watching)
        cursor.execute("SELECT 1 FROM nodes_pool WHERE id = %s FOR KEY SHARE NOWAIT", (pool.pk,))  # as an event's foreign key does
    assert renaming.result(5).status_code == 302
    pool.refresh_from_db()
    assert pool.name == "renamed"


def test_who_loses_a_race_is_tried_once_more() -> None:
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise psycopg.errors.DeadlockDetected
        return "done"

    assert offers.retried(work) == "done"
    assert len(tries) == 2


def test_who_loses_twice_is_told_so() -> None:
    def work() -> None:
        raise psycopg.errors.SerializationFailure

    with pytest.raises(Refused, match="Somebody else changed this at the same moment"):
        offers.retried(work)


def test_another_trouble_of_the_database_is_not_tried_again() -> None:
    def work() -> None:
        raise psycopg.OperationalError("the server is gone")

    with pytest.raises(psycopg.OperationalError):
        offers.retried(work)
