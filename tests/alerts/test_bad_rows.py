"""One bad row takes no other along: events and messages of another version, or that a fault of ours cannot read."""

from __future__ import annotations

import pytest

from alerts.models import Destination, Notification, Rule
from alerts.services import dispatch, routing
from nodes.engine.enums import EventType, Severity
from nodes.models import Event, Failover, Incident, Outbox
from tests.alerts import history
from tests.alerts.history import Receiver, add_event, at, fail, make_pool, new_id, open_incident

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


def from_the_future() -> Event:
    """An event whose type this version does not know."""
    event = add_event(EventType.HIGH_LOAD, Severity.WARNING)
    Event.objects.filter(pk=event.pk).update(type="quantum_flux")
    return event


def send(receiver: Receiver, *seconds: float) -> None:
    for second in seconds:
        routing.route(at(second))
        for leased in dispatch.claim(at(second), room=9, owner=new_id()):
            outcome = dispatch.send_leased(leased, receiver, at(second).timestamp())
            dispatch.record(leased, outcome, began=at(second), duration=0.1, now=at(second))


def test_an_event_of_an_unknown_type_delays_no_other(incident: Incident, pager: Destination) -> None:
    from_the_future()
    fail(incident)
    receiver = Receiver()
    send(receiver, 0)
    assert receiver.actions == ["trigger"]
    assert Outbox.objects.count() == 1


def test_after_three_tries_it_is_given_up_and_told(incident: Incident, pager: Destination) -> None:
    event, receiver = from_the_future(), Receiver()
    send(receiver, 0, 2)
    assert receiver.asked == []
    send(receiver, 4, 6, 8, 10)
    assert receiver.actions == ["trigger"]
    told = Event.objects.get(type="event_given_up")
    assert told.severity == "critical"
    assert told.message.startswith(f"Event {event.pk} (quantum_flux) is given up, nobody is notified of it: ValueError")
    kept = Outbox.objects.get()
    assert (kept.event_id, kept.tries, kept.given_up_at is not None) == (event.pk, 3, True)


def test_what_tells_of_a_bad_event_is_told_of_no_more_when_it_is_bad_itself(incident: Incident, pager: Destination) -> None:
    event = add_event(EventType.EVENT_GIVEN_UP, Severity.CRITICAL)
    Event.objects.filter(pk=event.pk).update(severity="shrill")
    send(Receiver(), *range(0, 20, 2))
    assert Event.objects.filter(type="event_given_up").count() == 1
    assert Outbox.objects.get().given_up_at is not None


def test_a_hundred_bad_events_delay_no_good_one(incident: Incident, pager: Destination) -> None:
    for _ in range(100):
        from_the_future()
    fail(incident)
    receiver = Receiver()
    send(receiver, 0)
    assert receiver.actions == ["trigger"]


def test_a_rule_of_unknown_types_alone_matches_nothing(incident: Incident, pager: Destination) -> None:
    Rule.objects.all().delete()
    rule = Rule.objects.create(name="future", severities=["critical"], event_types=["quantum_flux"], destination_kind="pagerduty")
    fail(incident)
    receiver = Receiver()
    send(receiver, 0)
    assert receiver.asked == []
    Rule.objects.filter(pk=rule.pk).update(event_types=["quantum_flux", "node_marked_failed"])
    fail(incident)
    send(receiver, 2)
    assert receiver.actions == ["trigger"]


def test_what_cannot_be_worded_is_sent_in_plain_words(incident: Incident, pager: Destination) -> None:
    node = incident.pool.nodes.get(name="a")
    Failover.objects.create(
        kind="failover", status="completed", pool=incident.pool, node=node, incident=incident, at=at(0), actor="engine", reason="",
        shares_before={}, shares_after={}, record={"considered": "of another version"},
    )  # fmt: skip  # one row
    fail(incident)
    receiver = Receiver()
    send(receiver, 0)
    (arrived,) = receiver.arrived
    assert arrived["payload"]["severity"] == "critical"
    assert "a: node marked failed" in arrived["payload"]["summary"]


def test_a_message_that_cannot_be_made_is_given_up_and_the_next_one_leaves(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    Notification.objects.update(action="levitate")
    fail(open_incident(make_pool("db")))
    receiver = Receiver()
    send(receiver, 1, 3)
    assert receiver.actions == ["trigger"]
    bad = Notification.objects.get(action="levitate")
    assert (bad.status, bad.outcome.split(":")[0]) == ("dead", "given up, it cannot be made")


def test_a_stored_message_without_its_fields_leaves_all_the_same(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    Notification.objects.update(payload={"colour": "of another version"})
    receiver = Receiver()
    send(receiver, 1)
    assert receiver.arrived[0]["payload"]["summary"] == "An alert of the failover console"
