"""One bad row takes no other along: events and messages of another version, or that a fault of ours cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import ProgrammingError, connection
from django.test import Client

from alerts.models import Destination, Notification, Rule
from alerts.services import dispatch, outcomes, routing
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
            outcomes.record(leased, outcome, began=at(second), duration=0.1, now=at(second))


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


def test_a_destination_of_an_unknown_kind_costs_only_itself(incident: Incident, pager: Destination) -> None:
    fail(incident)
    Destination.objects.filter(pk=history.slack().pk).update(kind="pigeon")
    receiver = Receiver()
    send(receiver, 0)
    assert receiver.actions == ["trigger"]
    assert not Outbox.objects.exists()


def test_a_message_to_a_destination_of_an_unknown_kind_waits_and_says_why(incident: Incident) -> None:
    pigeon = history.slack()
    fail(incident)
    routing.route(at(0))
    Destination.objects.filter(pk=pigeon.pk).update(kind="pigeon")
    receiver = Receiver()
    send(receiver, 1)
    waiting = Notification.objects.get(destination=pigeon)
    assert receiver.asked == []
    assert waiting.status == "pending"
    assert "is of an unknown kind “pigeon”, nothing goes there" in waiting.outcome
    Destination.objects.filter(pk=pigeon.pk).update(kind="slack")  # by an upgrade
    routing.route(at(2))
    for leased in dispatch.claim(at(3600), room=9, owner=new_id()):
        dispatch.send_leased(leased, receiver, at(3600).timestamp())
    assert len(receiver.asked) == 1


@pytest.mark.parametrize(
    "columns",
    [{"severities": ["shrill"]}, {"destination_kind": "pigeon"}, {"event_types": ["quantum_flux"]}],
    ids=lambda columns: next(iter(columns)),
)
def test_a_rule_that_cannot_be_read_costs_only_itself(
    incident: Incident, pager: Destination, caplog: pytest.LogCaptureFixture, columns: dict[str, object]
) -> None:
    given = {"name": f"from the future {next(iter(columns))}", "severities": ["critical"], "destination_kind": "webhook", **columns}
    Rule.objects.create(**given)
    receiver = Receiver()
    for second in (0, 10, 20):
        fail(open_incident(make_pool(f"pool-{second}")))
        send(receiver, second)
    assert receiver.actions == ["trigger"] * 3
    assert not Outbox.objects.exists()
    said = [record.getMessage() for record in caplog.records if given["name"] in record.getMessage()]
    assert len(said) == 1


def test_what_of_a_rule_can_be_read_is_in_force(incident: Incident, pager: Destination) -> None:
    Rule.objects.all().delete()
    Rule.objects.create(name="half known", severities=["shrill", "critical"], destination_kind="pagerduty")
    fail(incident)
    receiver = Receiver()
    send(receiver, 0)
    assert receiver.actions == ["trigger"]


@pytest.fixture
def no_rules_table() -> Iterator[Callable[[], None]]:
    """The table of the rules is out of reach until this is called, and again at the end."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE alerts_rule RENAME TO alerts_rule_away")
    away = True

    def back() -> None:
        nonlocal away
        if away:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE alerts_rule_away RENAME TO alerts_rule")
        away = False

    yield back
    back()


def test_a_fault_of_the_rules_blames_no_event(incident: Incident, pager: Destination, no_rules_table: Callable[[], None]) -> None:
    fail(incident)
    for second in range(0, 10, 2):
        with pytest.raises(ProgrammingError):
            routing.route(at(second))
    assert set(Outbox.objects.values_list("tries", "given_up_at")) == {(0, None)}
    assert not Event.objects.filter(type="event_given_up").exists()
    no_rules_table()
    receiver = Receiver()
    send(receiver, 12)
    assert receiver.actions == ["trigger"]


def test_the_pages_show_what_cannot_be_read(incident: Incident, pager: Destination, admin_client: Client) -> None:
    fail(incident)
    routing.route(at(0))
    Destination.objects.filter(pk=pager.pk).update(kind="pigeon")
    rule = Rule.objects.create(name="half known", severities=["shrill"], destination_kind="smoke", event_types=["quantum_flux"])
    page = admin_client.get("/alerts/destinations/").content.decode()
    assert "Destination pager is of an unknown kind “pigeon”, nothing goes there" in page
    assert (
        "Rule half known has an unknown severity “shrill” and event type “quantum_flux” and kind of destination “smoke”, left out"
        in page
    )
    assert "No rule brings critical events of every pool to an enabled destination" in page
    answer = admin_client.post(f"/alerts/destinations/{pager.pk}/test/", follow=True)
    assert answer.status_code == 200
    assert "is of an unknown kind" in answer.content.decode()
    for address in (
        "/alerts/",
        *(f"/alerts/{each.pk}/" for each in Notification.objects.all()),
        "/admin/alerts/rule/",
        f"/admin/alerts/rule/{rule.pk}/change/",
        "/admin/alerts/destination/",
        f"/admin/alerts/destination/{pager.pk}/change/",
        "/admin/alerts/notification/",
        f"/incidents/{incident.pk}/",
    ):
        assert admin_client.get(address).status_code == 200, address
