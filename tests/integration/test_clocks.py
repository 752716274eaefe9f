"""Clocks that disagree: a host's own clock decides nothing, and a database's that is set back stops nothing for long."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from nodes import operations
from nodes.engine.enums import AdminState
from nodes.engine.reporting import Calls, Report
from nodes.ledger import claim, pull_in_due_times, runners
from nodes.ledger.clock import database_now
from nodes.ledger.rows import Row
from nodes.models import Event, FailoverPolicy, NodeState, Pool, Runner
from tests.integration.checking import lease, see
from tests.telling import report_outcomes

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

HealthyPool = Callable[[], None]


@pytest.fixture(params=[60, -60, 3600, -3600], ids=lambda seconds: f"{seconds:+} s")
def other_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """This host's clock differs from the database's by so much, as far as Django and Python tell the time."""
    off, real, wall = timedelta(seconds=request.param), timezone.now, time.time

    def now() -> datetime:
        return real() + off

    monkeypatch.setattr(timezone, "now", now)
    monkeypatch.setattr(time, "time", lambda: wall() + off.total_seconds())
    return off


def test_what_a_host_with_another_clock_does_makes_no_node_stale_or_failed(
    connection: psycopg.Connection[Row], pool: Pool, other_clock: timedelta
) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp())
    node = NodeState.objects.get(node__name="a")
    now = database_now().timestamp()
    report_outcomes(node.pk, Report((Calls(5, 0, now),), load=None))
    operations.set_admin_state(node.pk, AdminState.DRAINING, actor="ada")
    operations.set_admin_state(node.pk, AdminState.ENABLED, actor="ada")
    operations.pause(pool.pk, actor="ada", reason="a look")
    operations.resume(pool.pk, actor="ada")
    assert not Event.objects.filter(type__in=("node_stale", "node_marked_failed")).exists()
    assert not NodeState.objects.filter(stale=True).exists()
    node.refresh_from_db()
    assert (node.breaker_successful, node.breaker_late) == (6, 0)  # the check and the calls
    far = Event.objects.exclude(at__range=(database_now() - timedelta(seconds=20), database_now() + timedelta(seconds=1)))
    assert not far.exists()


def test_nodes_that_a_host_with_another_clock_makes_due_are_due(
    connection: psycopg.Connection[Row], pool: Pool, other_clock: timedelta
) -> None:
    NodeState.objects.update(due_at=database_now() + timedelta(seconds=9))
    assert operations.check_now(NodeState.objects.values_list("pk", flat=True), actor="ada") == 3
    with connection.transaction(), connection.cursor() as cursor:
        assert len(claim(cursor, lease(connection), host="test", ahead=0, limit=9).claims) == 3


def test_a_host_whose_clock_is_off_is_named(
    connection: psycopg.Connection[Row], pool: Pool, other_clock: timedelta, admin_client: Client
) -> None:
    for kind in ("checks", "alerts"):
        runners.sign(connection, kind=kind, host="web-2", slot=0, pid=1)
    assert Runner.objects.get(kind="checks").clock_ahead == pytest.approx(other_clock.total_seconds(), abs=1.0)
    page = admin_client.get("/").content.decode()
    way = "ahead" if other_clock > timedelta() else "behind"
    assert page.count("clock of <b") == 1
    assert re.search(rf"web-2 is \d+ s {way}", page)
    scraped = admin_client.get("/metrics").content.decode()
    found = re.search(r'failover_host_clock_ahead_seconds{host="web-2"} (\S+)', scraped)
    assert found is not None
    assert float(found[1]) == pytest.approx(other_clock.total_seconds(), abs=1.0)


def test_a_host_whose_clock_agrees_is_not_named(connection: psycopg.Connection[Row], pool: Pool, admin_client: Client) -> None:
    runners.sign(connection, kind="checks", host="web-1", slot=0, pid=1)
    assert "clock of <b" not in admin_client.get("/").content.decode()


def due_in(connection: psycopg.Connection[Row]) -> list[float]:
    rows = connection.execute(
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float8 AS due FROM nodes_nodestate"
    ).fetchall()
    return [row["due"] for row in rows]


def test_a_database_that_was_set_back_an_hour_goes_on_checking(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp())
    NodeState.objects.update(due_at=F("due_at") + timedelta(hours=1))  # as the rows look to a clock an hour behind
    with connection.transaction(), connection.cursor() as cursor:
        assert pull_in_due_times(cursor) == 3
        assert pull_in_due_times(cursor) == 0
    assert max(due_in(connection)) <= 0


def test_a_due_time_that_an_interval_allows_is_left_alone(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp())
    before = list(NodeState.objects.order_by("pk").values_list("due_at", "version"))
    with connection.transaction(), connection.cursor() as cursor:
        assert pull_in_due_times(cursor) == 0
    assert list(NodeState.objects.order_by("pk").values_list("due_at", "version")) == before


def test_shortening_an_interval_makes_nodes_due_and_nobody_stale(connection: psycopg.Connection[Row], pool: Pool) -> None:
    policy = FailoverPolicy.objects.get()
    policy.interval = 300.0
    policy.save()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp() - 100)
    assert min(due_in(connection)) > 100
    policy.interval = 10.0
    policy.save()
    operations.configuration_saved(policy, actor="ada", before={"interval": "300"}, after={"interval": "10"})
    assert max(due_in(connection)) <= 0
    assert not NodeState.objects.filter(stale=True).exists()
    assert not Event.objects.filter(type="node_stale").exists()
