"""A runner that lost a connection begins again at once, and many small transactions keep nobody from the fleet's row."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import close_old_connections

from nodes import runner
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger.connections import connect
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Row
from nodes.models import FleetState, Pool
from nodes.runner.self_check import SelfCheck
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

SHARERS = 8


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stopping = threading.Event()
    yield stopping
    stopping.set()


def test_a_runner_whose_connection_is_lost_works_on_before_its_lease_would_be_over(
    connection: psycopg.Connection[Row], pool: Pool, stop: threading.Event
) -> None:
    def work() -> None:
        runner.serve(stop.is_set)
        close_old_connections()

    working = threading.Thread(target=work)
    working.start()
    try:
        leases = "SELECT term_number FROM nodes_lease WHERE kind = 'checks' AND deadline > now()"
        first = eventually(lambda: connection.execute(leases).fetchone(), 20, "a runner works")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'failover runner'")
        began = time.monotonic()
        eventually(lambda: connection.execute(leases).fetchall() not in ([], [first]), 20, "it works again, in a new term")
        assert time.monotonic() - began < 4  # a lease that nobody gave back lasts for six
        assert len(connection.execute(leases).fetchall()) == 1
    finally:
        stop.set()
        working.join(20)
    assert not working.is_alive()


def test_many_pools_that_are_decided_all_the_time_keep_nobody_from_the_fleets_row(
    connection: psycopg.Connection[Row], pool: Pool, stop: threading.Event
) -> None:
    FleetState.objects.get_or_create(pk=1)

    def share() -> None:
        with connect("sharer") as sharing:
            while not stop.is_set():
                with sharing.transaction(), sharing.cursor() as cursor:
                    lock_fleet(cursor)
                    cursor.execute("SELECT pg_sleep(0.01)")

    sharers = [threading.Thread(target=share) for _ in range(SHARERS)]
    for each in sharers:
        each.start()
    waits = []
    for _ in range(20):
        began = time.monotonic()
        with connection.transaction(), connection.cursor() as cursor:
            lock_fleet(cursor, exclusive=True)
            waits.append(time.monotonic() - began)
    stop.set()
    for each in sharers:
        each.join()
    assert sorted(waits)[10] < 0.5


def test_what_is_asked_and_not_yet_answered_does_not_fail() -> None:
    """Refusals come before answers: a few of them at a start are no outage."""
    check = SelfCheck()
    for node in range(100):
        check.asking(node)
    for node in range(6):
        refused = Observation(Verdict.FAIL, "refused", 0.001, 100.0, 100.0)
        check.note(node, node % 2, refused, first_bad_at=None, fast_interval=2.0)
    seen = check.sighting(100.1, frozenset())
    assert (seen.observed, seen.failing, seen.pools) == (100, 6, (0, 1))
