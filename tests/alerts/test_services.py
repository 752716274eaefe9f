"""From events in the outbox to messages that were accepted, against real PostgreSQL, with time driven by hand."""

from __future__ import annotations

import itertools
import threading
import uuid
from dataclasses import replace
from datetime import datetime

import pytest
from django.db import connection, transaction

from alerts.delivery import Accepted, Disable, Refused, Reply, RetryAfter
from alerts.models import Alert, Destination, Installation, Notification, Rule
from alerts.services import dispatch, outcomes, routing
from alerts.services.dispatch import Leased
from nodes.engine.enums import EventType, Severity
from nodes.models import Event, Incident, Outbox
from nodes.sign_of_life import boot_time
from tests.alerts import history
from tests.alerts.history import ME, Receiver, add_event, at, dispatch_due, fail, make_pool, open_incident, recover

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

OTHER = uuid.uuid4()


@pytest.fixture
def incident() -> Incident:
    return open_incident(make_pool())


@pytest.fixture
def pager() -> Destination:
    return history.pagerduty()


def states() -> list[tuple[str, str]]:
    return list(Notification.objects.order_by("pk").values_list("action", "status"))


def lease_one(now: datetime, owner: uuid.UUID = ME) -> Leased:
    (leased,) = dispatch.claim(now, room=32, owner=owner)
    return leased


def test_the_first_rules_bring_critical_to_the_pager_and_the_chat(incident: Incident, pager: Destination) -> None:
    chat = history.slack()
    fail(incident)
    assert routing.route(at(0)) == 2
    written = Notification.objects.values_list("destination_id", "action", "dedup_key")
    console = f"failover-console/{Installation.objects.get().name}"
    expected = [(each.pk, "trigger", f"{console}/{each.pk}/incident/{incident.pk}") for each in (pager, chat)]
    assert sorted(written) == sorted(expected)
    assert not Outbox.objects.exists()


def test_a_warning_goes_to_the_chat_alone(incident: Incident, pager: Destination) -> None:
    chat = history.slack()
    add_event(EventType.NODE_MARKED_FAILED, Severity.WARNING, incident=incident, node="a")
    routing.route(at(0))
    assert list(Notification.objects.values_list("destination_id", flat=True)) == [chat.pk]


def test_an_incident_is_triggered_acknowledged_and_resolved_under_one_key(incident: Incident, pager: Destination) -> None:
    receiver = Receiver()
    fail(incident)
    dispatch_due(receiver, at(0))
    add_event(EventType.ACKNOWLEDGED, incident=incident)
    dispatch_due(receiver, at(5))
    recover(incident)
    dispatch_due(receiver, at(10))
    assert receiver.actions == ["trigger", "acknowledge", "resolve"]
    assert {each["dedup_key"] for each in receiver.arrived} == {Alert.objects.get().dedup_key}


def test_ten_failing_checks_and_their_failover_are_one_alert(incident: Incident, pager: Destination) -> None:
    for _ in range(10):
        add_event(EventType.HEALTH_CHECK_FAILED, incident=incident, node="a")
    fail(incident)
    receiver = Receiver()
    for second in range(0, 60, 5):
        dispatch_due(receiver, at(second))
    assert receiver.actions == ["trigger"]


def test_a_rule_that_changes_meanwhile_does_not_lose_the_resolve(incident: Incident, pager: Destination) -> None:
    receiver = Receiver()
    fail(incident)
    dispatch_due(receiver, at(0))
    Rule.objects.all().delete()
    recover(incident)
    dispatch_due(receiver, at(5))
    assert receiver.actions == ["trigger", "resolve"]


def test_an_acknowledgement_waits_until_its_trigger_was_taken(incident: Incident, pager: Destination) -> None:
    down = Receiver(lambda: RetryAfter(None, "no answer", ambiguous=True))
    fail(incident)
    dispatch_due(down, at(0))
    add_event(EventType.ACKNOWLEDGED, incident=incident)
    dispatch_due(down, at(1))
    assert len(down.asked) == 1
    up = Receiver()
    for second in range(3, 15):
        dispatch_due(up, at(second))
    assert up.actions == ["trigger", "acknowledge"]


def test_a_trigger_that_may_have_arrived_and_is_over_is_not_sent_again_but_its_resolve_is(
    incident: Incident, pager: Destination
) -> None:
    chat = history.slack()
    down = Receiver(lambda: RetryAfter(None, "no answer", ambiguous=True))
    fail(incident)
    for second in (0, 1, 2):
        dispatch_due(down, at(second))
    recover(incident)
    up = Receiver(lambda: Reply(200, {}, b"ok"))
    for second in range(20, 60):
        dispatch_due(up, at(second))
    sent = Notification.objects.order_by("pk")
    assert sent.filter(destination=pager).values_list("action", "status")[0] == ("trigger", "superseded")
    assert sent.filter(destination=chat, status="delivered").count() == 2  # a chat has no key by which it could be over


def test_what_was_never_sent_and_is_over_is_not_sent_at_all(incident: Incident, pager: Destination) -> None:
    down = Receiver(lambda: Reply(503, {}, b""))
    fail(incident)
    dispatch_due(down, at(0))
    recover(incident)
    receiver = Receiver()
    dispatch_due(receiver, at(100))
    assert receiver.asked == []
    assert states() == [("trigger", "superseded"), ("resolve", "superseded")]


def test_a_refused_trigger_takes_its_resolve_with_it(incident: Incident, pager: Destination) -> None:
    fail(incident)
    dispatch_due(Receiver(lambda: Refused("answered 400")), at(0))
    recover(incident)
    receiver = Receiver()
    dispatch_due(receiver, at(5))
    assert receiver.asked == []
    assert states() == [("trigger", "dead"), ("resolve", "superseded")]


def test_a_sender_that_dies_is_repeated_under_the_same_ids_and_counted(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    first = lease_one(at(0))  # sent, and then the process is killed
    assert dispatch.claim(at(dispatch.LEASE - 1), room=32, owner=OTHER) == []
    second = lease_one(at(31), OTHER)
    assert (second.message.message_id, second.message.key) == (first.message.message_id, first.message.key)
    outcomes.record(second, Accepted(202), began=at(31), duration=0.1, now=at(31))
    notification = Notification.objects.get()
    assert (notification.status, notification.repeats) == ("delivered", 1)
    assert list(notification.tries.values_list("outcome", flat=True)) == ["lost", "accepted"]


def test_an_answer_that_comes_after_its_lease_changes_nothing_but_is_kept(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    late = lease_one(at(0))
    lease_one(at(31), OTHER)
    outcomes.record(late, Refused("answered 400"), began=at(0), duration=40, now=at(40))
    notification = Notification.objects.get()
    assert (notification.status, notification.lease_owner) == ("leased", OTHER)
    assert notification.tries.filter(outcome="refused").exists()


def test_a_trigger_that_is_accepted_after_its_resolve_is_resolved_again(incident: Incident, pager: Destination) -> None:
    """The sender stood still between its last look at the clock and its first byte, until everything was over."""
    fail(incident)
    routing.route(at(0))
    late = lease_one(at(0))
    recover(incident)
    receiver = Receiver()
    for second in (31, 33, 35):
        dispatch_due(receiver, at(second))
    assert receiver.actions == ["resolve"]
    outcomes.record(late, Accepted(202), began=at(0), duration=40, now=at(40))  # it opened again what was resolved
    outcomes.record(late, Accepted(202), began=at(0), duration=40, now=at(40))
    for second in (41, 43):
        dispatch_due(receiver, at(second))
    assert receiver.actions == ["resolve", "resolve"]


def test_a_trigger_that_is_accepted_late_before_its_resolve_left_is_resolved_once(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    late = lease_one(at(0))
    receiver = Receiver()
    dispatch_due(receiver, at(31))
    recover(incident)
    routing.route(at(32))
    outcomes.record(late, Accepted(202), began=at(0), duration=32, now=at(32))
    for second in (33, 35):
        dispatch_due(receiver, at(second))
    assert receiver.actions == ["trigger", "resolve"]


def test_a_sender_that_stood_still_sends_nothing(incident: Incident, pager: Destination) -> None:
    fail(incident)
    routing.route(at(0))
    leased = replace(lease_one(at(0)), taken_at=boot_time() - dispatch.START - 0.1)
    receiver = Receiver()
    outcome = dispatch.send_leased(leased, receiver, 0.0)
    assert isinstance(outcome, RetryAfter)
    assert (outcome.ours, outcome.ambiguous, receiver.asked) == (True, False, [])


def test_of_a_trigger_of_which_nobody_knows_whether_it_arrived_the_resolve_alone_is_sent(
    incident: Incident, pager: Destination
) -> None:
    fail(incident)
    routing.route(at(0))
    lease_one(at(0))  # killed
    recover(incident)
    receiver = Receiver()
    for second in (31, 33, 35):
        dispatch_due(receiver, at(second))
    assert receiver.actions == ["resolve"]


def test_two_routers_at_once_write_each_message_once(incident: Incident, pager: Destination) -> None:
    fail(incident)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        try:
            with transaction.atomic():
                assert routing.route(at(0)) == 2
                entered.set()
                leave.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    assert routing.route(at(0)) == 0
    leave.set()
    thread.join()
    assert routing.route(at(0)) == 0
    assert Notification.objects.count() == 1


def test_two_dispatchers_at_once_never_send_to_one_destination_together(incident: Incident, pager: Destination) -> None:
    fail(incident)
    fail(open_incident(make_pool("db")))
    routing.route(at(0))
    assert len(dispatch.claim(at(0), room=32, owner=ME)) == 1
    assert dispatch.claim(at(5), room=32, owner=OTHER) == []


def test_a_router_that_dies_before_its_commit_leaves_the_event(incident: Incident, pager: Destination) -> None:
    fail(incident)
    with transaction.atomic():
        routing.route(at(0))
        transaction.set_rollback(True)
    assert not Notification.objects.exists()
    routing.route(at(1))
    assert Notification.objects.count() == 1


def test_a_destination_that_waits_does_not_hold_another(incident: Incident, pager: Destination) -> None:
    history.slack()
    fail(incident)
    routing.route(at(0))
    hanging = dispatch.claim(at(0), room=1, owner=ME)
    assert len(hanging) == 1
    assert len(dispatch.claim(at(1), room=32, owner=OTHER)) == 1


def test_retries_follow_the_schedule_until_the_circuit_opens(incident: Incident, pager: Destination) -> None:
    down = Receiver(lambda: RetryAfter(None, "no answer"))
    fail(incident)
    tried, now = [], 0.0
    while len(tried) < 8:
        if dispatch_due(down, at(now)):
            tried.append(now)
        now = (Notification.objects.get().due_at - at(0)).total_seconds() + 0.001
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    for gap, step in zip(gaps, (2, 10, 30, 60, 10, 10, 10), strict=True):
        assert step * 0.8 <= gap <= step * 1.2


def test_retry_after_holds_the_whole_destination(incident: Incident, pager: Destination) -> None:
    busy = Receiver(lambda: RetryAfter(120.0, "answered 429", status=429))
    fail(incident)
    dispatch_due(busy, at(0))
    fail(open_incident(make_pool("db")))
    receiver = Receiver()
    assert dispatch_due(receiver, at(119)) == 0
    assert dispatch_due(receiver, at(121)) == 1


def test_slack_gets_one_message_a_second(incident: Incident) -> None:
    history.slack()
    fail(incident)
    fail(open_incident(make_pool("db")))
    receiver = Receiver(lambda: Reply(200, {}, b"ok"))
    assert [dispatch_due(receiver, at(second)) for second in (0, 0.5, 1.0)] == [1, 0, 1]


def test_a_destination_that_is_gone_is_disabled_and_the_others_are_notified(incident: Incident, pager: Destination) -> None:
    chat = history.slack()
    fail(incident)
    routing.route(at(0))
    for each in dispatch.claim(at(0), room=32, owner=ME):
        gone = Refused("Slack says invalid_token", Disable.NOW, 403)
        outcomes.record(
            each, gone if each.endpoint and each.endpoint.kind == "slack" else Accepted(202), began=at(0), duration=0.1, now=at(0)
        )
    chat.refresh_from_db()
    assert (chat.enabled, chat.disabled_reason) == (False, "Slack says invalid_token")
    told = Event.objects.get(type="destination_failing")
    assert (told.severity, told.actor) == ("critical", "alerts")
    assert Outbox.objects.filter(event=told).exists()


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_an_answer_that_somebody_may_mend_disables_nothing_and_loses_nothing(
    incident: Incident, pager: Destination, status: int
) -> None:
    fail(incident)
    for second in range(0, 1200, 5):
        dispatch_due(Receiver(lambda: Reply(status, {}, b"")), at(second))
    pager.refresh_from_db()
    assert (pager.enabled, Notification.objects.get().status) == (True, "pending")
    mended = Receiver()
    dispatch_due(mended, at(1211))
    assert mended.actions == ["trigger"]


def test_an_update_that_waits_is_superseded_by_a_newer_one(incident: Incident, pager: Destination) -> None:
    fail(incident, "a")
    routing.route(at(0))
    fail(incident, "b")
    receiver = Receiver()
    for second in (0, 2, 4):
        dispatch_due(receiver, at(second))
    assert [each["payload"]["component"] for each in receiver.arrived] == ["b"]
    recover(incident)
    dispatch_due(receiver, at(10))
    assert receiver.actions == ["trigger", "resolve"]
