"""From failing checks through the real ledger to messages: what a person on call gets to read."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from alerts.models import Notification
from alerts.services import dispatch, outcomes, routing
from nodes import operations
from nodes.ledger.rows import Row
from nodes.models import FailoverPolicy, Incident, Pool
from tests.alerts import history
from tests.alerts.history import Receiver
from tests.integration.checking import see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ME = uuid.uuid4()


@pytest.fixture(autouse=True)
def three_checks(pool: Pool) -> None:
    FailoverPolicy.objects.update(failure_threshold=3)


def deliver(receiver: Receiver, now: float) -> None:
    """Everything due, as often as the destination's rate lets it."""
    for second in range(10):
        moment = datetime.fromtimestamp(now + second / 10 * 9, UTC)
        routing.route(moment)
        dispatch.expire_superseded(moment)
        for each in dispatch.claim(moment, room=9, owner=ME):
            outcomes.record(each, dispatch.send_leased(each, receiver, now), began=moment, duration=0.1, now=moment)


def test_a_node_that_dies_and_comes_back_is_one_alert_that_is_resolved(connection: psycopg.Connection[Row], pool: Pool) -> None:
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


def test_the_alert_says_what_failed_and_where_its_share_went(connection: psycopg.Connection[Row], pool: Pool) -> None:
    history.pagerduty()
    receiver, now = Receiver(), time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    for tick in range(1, 4):
        see(connection, pool, {"b": "fail"}, now + tick)
    deliver(receiver, now + 4)
    payload = receiver.arrived[0]["payload"]
    assert payload["severity"] == "critical"
    assert payload["summary"].startswith("api: 1 of 3 nodes down, all traffic on a and c: b failed 3 checks in a row: refused")
    assert payload["component"] == "b"
    assert payload["custom_details"]["what was done"].startswith("its share moved to a (now 50.01 %), c (now 49.99 %), epoch")


def test_a_pool_where_no_node_can_take_over_is_one_alert_that_says_so(connection: psycopg.Connection[Row], pool: Pool) -> None:
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
