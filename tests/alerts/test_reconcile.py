"""Each minute what lasts is held against what was told: what is over is resolved, what was never told is told."""

from __future__ import annotations

import uuid

import pytest

from alerts.delivery import Refused, Reply
from alerts.models import Alert, Destination, Notification, Rule
from alerts.services import dispatch, outcomes, routing
from alerts.services.reconcile import reconcile
from nodes.engine.enums import EventType, Severity
from nodes.models import Checker, Event, Incident, NodeState, Outbox, PoolState
from tests.alerts import history
from tests.alerts.history import Receiver, add_event, at, make_pool, open_incident

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


def fail(incident: Incident, node: str = "a") -> None:
    """The events of a node that fails and loses its share, and its failure, which lasts."""
    history.fail(incident, node)
    still_failing(incident, node)


def still_failing(incident: Incident, node: str) -> None:
    NodeState.objects.create(node=incident.pool.nodes.get(name=node), pool_id=incident.pool_id, due_at=at(0), failure={"id": 1})


def send(receiver: Receiver, second: float) -> None:
    routing.route(at(second))
    dispatch.expire_superseded(at(second))
    for each in dispatch.claim(at(second), room=9, owner=uuid.uuid4()):
        outcome = dispatch.send_leased(each, receiver, at(second).timestamp())
        outcomes.record(each, outcome, began=at(second), duration=0.1, now=at(second))


def keys(receiver: Receiver) -> list[tuple[str, str]]:
    return [(each["event_action"], each["dedup_key"].split("/", 3)[3]) for each in receiver.arrived]


def test_an_incident_whose_end_was_lost_is_resolved(incident: Incident, pager: Destination) -> None:
    receiver = Receiver()
    fail(incident)
    send(receiver, 0)
    Incident.objects.update(closed_at=at(50))
    assert [reconcile(at(second)) for second in (70, 100, 111, 200)] == [0, 0, 1, 0]
    send(receiver, 201)
    assert receiver.actions == ["trigger", "resolve"]


def test_what_goes_on_and_what_an_event_may_still_change_is_left_alone(incident: Incident, pager: Destination) -> None:
    fail(incident)
    send(Receiver(), 0)
    assert reconcile(at(500)) == 0
    Incident.objects.update(closed_at=at(50))
    add_event(EventType.INCIDENT_CLOSED, incident=incident)
    assert reconcile(at(500)) == 0


def test_a_trouble_of_a_pool_whose_end_was_lost_is_resolved(pager: Destination) -> None:
    pool = make_pool()
    state = PoolState.objects.create(pool=pool, low_capacity=True)
    event = add_event(EventType.LOW_CAPACITY, Severity.CRITICAL)
    type(event).objects.filter(pk=event.pk).update(pool=pool)
    receiver = Receiver()
    send(receiver, 0)
    assert reconcile(at(100)) == 0
    state.low_capacity = False
    state.save()
    assert reconcile(at(100)) == 1
    send(receiver, 101)
    name = f"pool/{pool.pk}/low_capacity/{event.pk}"
    assert keys(receiver) == [("trigger", name), ("resolve", name)]


def test_an_incident_that_a_lost_event_never_told_is_told(incident: Incident, pager: Destination) -> None:
    fail(incident)
    Outbox.objects.all().delete()
    receiver = Receiver()
    assert [reconcile(at(second)) for second in (30, 61, 62)] == [0, 1, 0]
    send(receiver, 63)
    assert keys(receiver) == [("trigger", f"incident/{incident.pk}")]


def test_a_destination_that_is_added_meanwhile_is_told_of_what_lasts(incident: Incident) -> None:
    fail(incident)
    send(Receiver(), 0)
    history.pagerduty()
    receiver = Receiver()
    reconcile(at(70))
    send(receiver, 71)
    assert receiver.actions == ["trigger"]


def test_what_no_rule_selects_is_not_told(incident: Incident, pager: Destination) -> None:
    fail(incident)
    Rule.objects.all().delete()
    Outbox.objects.all().delete()
    assert reconcile(at(100)) == 0


def test_after_a_refusal_for_good_only_an_acceptance_or_an_edit_makes_it_told_again(incident: Incident, pager: Destination) -> None:
    fail(incident)
    send(Receiver(lambda: Refused("answered 400", status=400)), 0)
    assert [reconcile(at(second)) for second in (70, 3700)] == [0, 0]
    Destination.objects.update(last_success_at=at(3800))
    assert [reconcile(at(second)) for second in (3801, 3802)] == [1, 0]
    receiver = Receiver()
    send(receiver, 3803)
    assert keys(receiver) == [("trigger", f"incident/{incident.pk}/2")]


def test_what_was_given_up_for_its_age_is_told_by_a_new_key(incident: Incident, pager: Destination) -> None:
    fail(incident)
    send(Receiver(lambda: Reply(503, {}, b"")), 0)
    dispatch.expire_superseded(at(86400 + 1))
    assert Notification.objects.get().status == "dead"
    assert reconcile(at(86400 + 2)) == 1
    receiver = Receiver()
    send(receiver, 86400 + 12)
    assert keys(receiver) == [("trigger", f"incident/{incident.pk}/2")]
    assert [alert.resolved_at is None for alert in Alert.objects.order_by("pk")] == [False, True]


def test_a_checker_with_a_long_name_is_known_again(pager: Destination) -> None:
    host = "checker-" * 20
    Rule.objects.create(name="all", severities=["warning"], destination_kind="pagerduty")
    Checker.objects.create(host=host, doubt="failures", told=True)
    add_event(EventType.CHECKER_ISOLATED, Severity.WARNING, checker=host)
    send(Receiver(), 0)
    assert reconcile(at(100)) == 0
    Checker.objects.update(doubt="")
    assert reconcile(at(100)) == 1


def test_a_rule_that_selects_by_type_is_asked_about_every_event(incident: Incident) -> None:
    fail(incident)
    add_event(EventType.FAILOVER_REFUSED, Severity.CRITICAL, incident=incident, node="b")
    still_failing(incident, "b")
    Rule.objects.all().delete()
    send(Receiver(), 0)
    Rule.objects.create(name="stuck", severities=["critical"], event_types=["failover_refused"], destination_kind="pagerduty")
    history.pagerduty()
    receiver = Receiver()
    assert [reconcile(at(70)), reconcile(at(71))] == [1, 0]
    send(receiver, 72)
    assert receiver.actions == ["trigger"]


def test_a_node_that_has_recovered_is_no_reason_to_tell_of_an_incident_that_goes_on(incident: Incident) -> None:
    history.fail(incident)
    send(Receiver(), 0)
    history.pagerduty()
    assert reconcile(at(70)) == 0


def test_a_further_key_that_was_refused_is_told_again_though_the_first_arrived(incident: Incident, pager: Destination) -> None:
    state = PoolState.objects.create(pool=incident.pool, down=True)
    fail(incident)
    send(Receiver(), 0)
    add_event(EventType.POOL_DOWN, Severity.CRITICAL, incident=incident)
    send(Receiver(lambda: Refused("answered 400", status=400)), 5)
    Destination.objects.update(last_success_at=at(60))
    assert [reconcile(at(second)) for second in (70, 71)] == [1, 0]
    receiver = Receiver()
    send(receiver, 72)
    assert keys(receiver) == [("trigger", f"incident/{incident.pk}/3")]
    state.down = False
    state.save()
    assert reconcile(at(200)) == 1


def test_a_resolve_that_was_refused_is_sent_again_once_the_destination_is_mended(incident: Incident, pager: Destination) -> None:
    fail(incident)
    send(Receiver(), 0)
    history.recover(incident)
    send(Receiver(lambda: Refused("answered 400", status=400)), 5)
    assert reconcile(at(100)) == 0
    Destination.objects.update(edited_at=at(101))
    assert [reconcile(at(second)) for second in (102, 103)] == [1, 0]
    receiver = Receiver()
    send(receiver, 104)
    assert receiver.actions == ["resolve"]


def test_a_key_that_cannot_be_read_takes_no_other_along(incident: Incident, pager: Destination) -> None:
    fail(incident)
    send(Receiver(lambda: Reply(503, {}, b"")), 0)
    other = open_incident(make_pool("db"))
    history.fail(other)
    send(Receiver(), 20)
    Incident.objects.filter(pk=other.pk).update(closed_at=at(30))
    Event.objects.filter(incident=incident).update(type="quantum_flux")
    Notification.objects.filter(incident=incident).update(status="dead")
    assert reconcile(at(200)) == 1
    assert Alert.objects.get(incident=incident).resolved_at is None
    assert Alert.objects.get(incident=other).resolved_at is not None
