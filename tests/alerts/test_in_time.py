"""Alerts in time: a batch of the router that takes long, and a clock that was set back."""

from __future__ import annotations

import uuid

import pytest

from alerts.models import Destination
from alerts.services import dispatch, routing
from nodes.engine.enums import EventType, Severity
from nodes.models import Incident, Outbox
from tests.alerts import history
from tests.alerts.history import Receiver, add_event, at, dispatch_due, fail, make_pool, open_incident

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ME = uuid.uuid4()


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


def test_a_batch_that_takes_long_is_committed_and_the_rest_follows(
    incident: Incident, pager: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        add_event(EventType.EVENT_GIVEN_UP, Severity.CRITICAL)
    waiting = Outbox.objects.count()
    monkeypatch.setattr(routing, "LONGEST_BATCH", 0.0)
    for left in range(waiting - 1, -1, -1):
        assert routing.route(at(10)) == 1
        assert Outbox.objects.count() == left
    assert routing.route(at(10)) == 0


def test_a_clock_that_was_set_back_makes_all_that_waits_due(incident: Incident, pager: Destination) -> None:
    fail(incident)
    later, receiver = at(3600), Receiver()
    dispatch_due(receiver, later)
    add_event(EventType.EVENT_GIVEN_UP, Severity.CRITICAL)
    routing.route(later)
    assert dispatch.claim(at(0), room=32, owner=ME) == []
    dispatch.pull_in(at(0))
    assert len(dispatch.claim(at(0), room=32, owner=ME)) == 1
