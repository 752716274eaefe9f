"""A destination that accepts nothing is a trouble that the others are told of; one that is removed says goodbye."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from alerts.delivery import Accepted, RetryAfter
from alerts.models import Alert, Destination, Notification, Rule
from alerts.services import destination_watch, destinations, dispatch, outcomes, precedence, routing
from alerts.services.destinations import OnlyOneError
from nodes.engine.enums import EventType, Severity
from nodes.ledger.clock import database_now
from nodes.models import Event, Incident, Lease
from tests.alerts import history
from tests.alerts.history import Receiver, Reply, add_event, at, fail, make_pool, open_incident, recover

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

DOWN = Reply(503, {}, b"")


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


def run(receiver: Receiver, second: float, *only: Destination) -> None:
    """One turn of a runner; `only`: what goes elsewhere is left alone."""
    now = at(second)
    routing.route(now)
    dispatch.expire_superseded(now)
    destination_watch.watch(now)
    for each in dispatch.claim(now, room=32, owner=uuid.uuid4()):
        if only and Notification.objects.get(pk=each.notification).destination not in only:
            outcome = Accepted(202)
        else:
            outcome = dispatch.send_leased(each, receiver, now.timestamp())
        outcomes.record(each, outcome, began=now, duration=0.1, now=now)


def told() -> list[tuple[str, str]]:
    found = Event.objects.filter(type__startswith="destination_").order_by("pk")
    return list(found.values_list("type", "severity"))


def test_five_minutes_without_acceptance_are_a_trouble_that_the_next_acceptance_ends(
    incident: Incident, pager: Destination
) -> None:
    history.slack()
    fail(incident)
    down = Receiver(lambda: DOWN)
    for second in (0, 60, 200, 299):
        run(down, second, pager)
    assert told() == []
    run(down, 301, pager)
    run(down, 330, pager)
    assert told() == [("destination_failing", "critical")]
    run(Receiver(), 400)
    assert told()[1:] == [("destination_answers", "info")]
    keys = Alert.objects.filter(subject=f"destination/{pager.pk}/destination_failing")
    run(Receiver(), 401)
    assert [(each.destination.name, each.resolved_at is not None) for each in keys] == [("ops", True)]


def test_a_critical_message_that_is_given_up_is_a_trouble_at_once(incident: Incident, pager: Destination) -> None:
    fail(incident)
    run(Receiver(lambda: Reply(400, {}, b"")), 0)
    assert told() == [("destination_failing", "critical")]
    assert "a critical message was given up" in Event.objects.get(type="destination_failing").message


def test_two_that_both_refuse_do_not_tell_of_each_other_for_ever(incident: Incident, pager: Destination) -> None:
    history.slack()
    fail(incident)
    refusing = Receiver(lambda: Reply(400, {}, b""))
    for second in range(0, 3600, 30):
        run(refusing, second)
    assert told() == [("destination_failing", "critical")] * 2
    assert Notification.objects.count() == 4  # of the incident to both, of each to the other


def test_a_person_who_disables_it_ends_the_trouble(incident: Incident, pager: Destination) -> None:
    fail(incident)
    run(Receiver(lambda: Reply(400, {}, b"")), 0)
    destinations.on_disabled(pager.pk, at(5))
    assert told()[-1][0] == "destination_answers"


def test_a_destination_that_has_been_silent_for_a_week_is_told_once_until_it_accepts(pager: Destination) -> None:
    Destination.objects.update(created_at=at(0), last_success_at=at(0))
    day = 86400
    for second in (day, 7 * day - 60, 7 * day + 60, 8 * day):
        destination_watch.watch_quiet(at(second))
    assert told() == [("destination_quiet", "warning")]
    add_event(EventType.EVENT_GIVEN_UP, Severity.CRITICAL)
    run(Receiver(), 8 * day + 1)
    assert told()[1:] == [("destination_quiet_ended", "info")]


def test_one_that_no_rule_notifies_may_be_silent(pager: Destination) -> None:
    Destination.objects.update(created_at=at(0))
    Rule.objects.all().delete()
    destination_watch.watch_quiet(at(30 * 86400))
    assert told() == []


# Removal --------------------------------------------------------------------------------------------------------------


def test_one_that_is_removed_gets_the_end_of_each_key_and_nothing_new(incident: Incident, pager: Destination) -> None:
    history.pagerduty("other")
    receiver = Receiver()
    fail(incident)
    run(receiver, 0, pager)
    assert destinations.leave(pager.pk, at(10), actor="ada")
    fail(open_incident(make_pool("db")))
    for second in (11, 12, 13):
        run(receiver, second, pager)
    destinations.finish_leaving(at(14))
    assert receiver.actions == ["trigger", "resolve"]
    pager.refresh_from_db()
    assert (pager.removed_at, pager.key) == (at(14), "")
    recover(incident)
    run(receiver, 20, pager)
    assert receiver.actions == ["trigger", "resolve"]


def test_one_that_answers_nothing_is_gone_after_an_hour_with_the_keys_left_open(incident: Incident, pager: Destination) -> None:
    history.pagerduty("other")
    fail(incident)
    run(Receiver(), 0)
    key = Alert.objects.get(destination=pager).dedup_key
    destinations.leave(pager.pk, at(10), actor="ada")
    for second in (20, 600, 3590):
        run(Receiver(lambda: DOWN), second)
        destinations.finish_leaving(at(second))
    pager.refresh_from_db()
    assert (pager.removed_at, pager.key) == (None, history.ROUTING_KEY)
    destinations.finish_leaving(at(3611))
    pager.refresh_from_db()
    assert (pager.removed_at, pager.key) == (at(3611), "")
    said = Event.objects.filter(type="config_changed").latest("pk")
    assert said.message == f"Destination pager is removed; left open there: {key}"


def test_the_only_one_of_a_critical_rule_is_not_removed_by_the_way(pager: Destination) -> None:
    history.slack()  # another rule's
    with pytest.raises(OnlyOneError):
        destinations.leave(pager.pk, at(0), actor="ada")
    second = history.pagerduty("second")
    assert destinations.leave(pager.pk, at(0), actor="ada")
    with pytest.raises(OnlyOneError):
        destinations.leave(second.pk, at(0), actor="ada")
    assert destinations.leave(second.pk, at(0), actor="ada", although_only=True)
    assert not destinations.leave(second.pk, at(0), actor="ada", although_only=True)


# Hosts ----------------------------------------------------------------------------------------------------------------

REFUSED = RetryAfter(None, "cannot be connected to")


def test_a_host_gives_way_after_two_connection_errors_to_one_that_has_none() -> None:
    both, seen = frozenset({"a", "b"}), {}
    for second in (0.0, 10.0):
        assert not precedence.gives_way(seen, "a", both, second)
        seen = precedence.noted(seen, "a", REFUSED, second)
    assert precedence.gives_way(seen, "a", both, 20.0)
    assert not precedence.gives_way(seen, "b", both, 20.0)
    assert not precedence.gives_way(seen, "a", frozenset({"a"}), 20.0)
    assert not precedence.gives_way(seen, "a", both, 10.0 + precedence.PRECEDENCE)
    assert not precedence.gives_way(precedence.noted(seen, "a", RetryAfter(None, "503", status=503), 21.0), "a", both, 22.0)
    for second in (30.0, 31.0):
        seen = precedence.noted(seen, "b", REFUSED, second)
    assert precedence.all_failed(seen, both, 32.0)
    assert not precedence.gives_way(seen, "a", both, 32.0)
    assert not precedence.gives_way({"a": "of another version"}, "a", both, 32.0)


def test_what_one_host_cannot_reach_another_sends_and_no_circuit_opens(incident: Incident, pager: Destination) -> None:
    for number, host in enumerate(("near", "far")):
        Lease.objects.create(
            term_number=number + 1,
            kind="alerts",
            host=host,
            slot=0,
            pid=1,
            pid_started=1,
            deadline=database_now() + timedelta(seconds=5),
        )
    fail(incident)
    routing.route(at(0))
    unreachable, now, tries = Receiver(lambda: REFUSED), 0.0, 0
    while tries < 2:
        for each in dispatch.claim(at(now), room=9, owner=uuid.uuid4(), host="far"):
            outcomes.record(
                each, dispatch.send_leased(each, unreachable, at(now).timestamp()), began=at(now), duration=0.1, now=at(now)
            )
            tries += 1
        now += 1.0
    now += 30
    assert dispatch.claim(at(now), room=9, owner=uuid.uuid4(), host="far") == []
    (leased,) = dispatch.claim(at(now), room=9, owner=uuid.uuid4(), host="near")
    outcomes.record(leased, Accepted(202), began=at(now), duration=0.1, now=at(now))
    assert Notification.objects.get().status == "delivered"
