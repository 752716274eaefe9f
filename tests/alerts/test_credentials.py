"""The keys and addresses of destinations: which one a message goes by, and that nobody reads them."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from pytest_django import Settings

from alerts.delivery import Reply
from alerts.models import Alert, Destination, Notification
from nodes.models import Incident
from tests.alerts import history
from tests.alerts.history import Receiver, at, dispatch_due, fail, make_pool, open_incident, recover

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


def test_an_alert_is_resolved_by_the_key_that_opened_it(incident: Incident, pager: Destination) -> None:
    receiver = Receiver()
    fail(incident)
    dispatch_due(receiver, at(0))
    Destination.objects.filter(pk=pager.pk).update(key="N" * 32)
    recover(incident)
    dispatch_due(receiver, at(5))
    assert [each["routing_key"] for each in receiver.arrived] == [history.ROUTING_KEY, history.ROUTING_KEY]


def test_a_key_by_which_nothing_arrived_is_given_up_for_the_corrected_one(incident: Incident, pager: Destination) -> None:
    fail(incident)
    dispatch_due(Receiver(lambda: Reply(429, {}, b"")), at(0))
    Destination.objects.filter(pk=pager.pk).update(key="N" * 32)
    receiver = Receiver()
    dispatch_due(receiver, at(100))
    assert [each["routing_key"] for each in receiver.arrived] == ["N" * 32]


def test_a_secret_that_cannot_be_read_is_a_reason_and_no_crash(incident: Incident, pager: Destination, settings: Settings) -> None:
    fail(incident)
    settings.ENCRYPTION_KEYS = (Fernet.generate_key().decode(),)
    dispatch_due(Receiver(), at(0))
    assert "cannot be decrypted" in Notification.objects.get().outcome
    assert Notification.objects.get().status == "pending"


def test_no_secret_is_stored_in_plain_or_shown(incident: Incident, pager: Destination) -> None:
    history.slack()
    fail(incident)
    receiver = Receiver()
    dispatch_due(receiver, at(0))
    leased = repr([Destination.objects.all(), list(Alert.objects.all()), list(Notification.objects.all())])
    with connection.cursor() as cursor:
        tables = ("alerts_destination", "alerts_page", "alerts_notification", "alerts_attempt", "nodes_event")
        rows = []
        for table in tables:
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
            rows += [row[0] for row in cursor.fetchall()]
    for secret in (history.ROUTING_KEY, history.SLACK_URL, "slackcanary"):
        assert secret not in leased
        assert not any(secret in row for row in rows)
    assert receiver.arrived  # they were used all the same
