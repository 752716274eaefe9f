"""The circuit of each destination, against real PostgreSQL, with time driven by hand."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.delivery import Accepted, Disable, Payload, Refused, Reply, RetryAfter
from alerts.delivery.types import Post
from alerts.models import Destination, Notification
from alerts.services import destination_breaker, destinations, dispatch, outcomes, routing
from alerts.services.runner import Dispatcher
from alerts.services.test_message import send_test
from nodes.engine.enums import EventType, Severity
from nodes.models import Event
from tests.alerts import history
from tests.alerts.history import Answer, Receiver, add_event, at

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

OPENED_AT = 10  # s: when the fifth of the sends below has failed
DEAD = RetryAfter(None, "cannot be connected to")


@pytest.fixture
def hook() -> Destination:
    return make_hook()


def make_hook(name: str = "hook") -> Destination:
    return Destination.objects.create(name=name, kind="webhook", address=f"https://{name}.test/", key=history.SIGNING_SECRET)


def write(destination: Destination, number: int, second: float = 0, *, severity: str = "warning") -> Notification:
    """One message of its own, as a rule would write it."""
    payload = Payload(title=f"m{number}", text="", severity=severity, at="", url="", console="")
    return Notification.objects.create(
        destination=destination, action="info", dedup_key=f"key/{number}", severity=severity, payload=payload.stored(),
        due_at=at(second), created_at=at(second),
    )  # fmt: skip  # one row


def dispatch_due(post: Post, now: datetime) -> int:
    """One round of a dispatcher of its own, as in a new process; returns how many messages it sent."""
    leased = dispatch.claim(now, room=32, owner=uuid.uuid4())
    for each in leased:
        outcomes.record(each, dispatch.send_leased(each, post, now.timestamp()), began=now, duration=0.1, now=now)
    return len(leased)


def answering(answer: Answer) -> Receiver:
    return Receiver(lambda: answer)


def fail_often(destination: Destination, answer: Answer = DEAD, times: int = 5) -> None:
    """As many messages, each tried once, the last at `OPENED_AT`; they are due again by their own schedule."""
    for number in range(times):
        write(destination, number, number)
        now = at(OPENED_AT - times + 1 + number)
        Notification.objects.filter(attempts__gt=0).update(due_at=at(600))
        assert dispatch_due(answering(answer), now) == 1


def titles(receiver: Receiver) -> list[str]:
    return [each["data"]["title"] for each in receiver.arrived]


def open_circuit(destination: Destination) -> None:
    fail_often(destination)
    assert destination_breaker.circuit_of(Destination.objects.get(pk=destination.pk).breaker, at(OPENED_AT)).retry_at == at(
        OPENED_AT + 10
    )


def recorded() -> list[tuple[str, str]]:
    return list(Event.objects.filter(actor="alerts").order_by("pk").values_list("severity", "message"))


def test_a_dead_destination_costs_no_lease_until_its_wait_is_over(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    receiver = Receiver()
    assert [dispatch_due(receiver, at(OPENED_AT + second)) for second in (0, 1, 7, 9.9)] == [0, 0, 0, 0]
    assert receiver.asked == []
    waiting = Notification.objects.get(dedup_key="key/9")
    assert (waiting.status, waiting.attempts, waiting.due_at) == ("pending", 0, at(OPENED_AT))


def test_it_is_not_even_asked_each_round(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    dispatch_due(Receiver(), at(OPENED_AT + 1))
    hook.refresh_from_db()
    assert hook.next_send_at == at(OPENED_AT + 10)


def test_one_message_is_the_trial_however_many_hosts_claim(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 8, OPENED_AT)
    write(hook, 9, OPENED_AT)
    now = at(OPENED_AT + 11)
    assert [len(dispatch.claim(now, room=32, owner=uuid.uuid4())) for _ in range(3)] == [1, 0, 0]
    assert dispatch.claim(now + timedelta(seconds=5), room=32, owner=uuid.uuid4()) == []


def test_a_trial_that_fails_waits_ten_seconds_again(hook: Destination) -> None:
    open_circuit(hook)
    now, waits = at(OPENED_AT + 10), []
    for number in range(10, 17):
        write(hook, number, OPENED_AT)
        Notification.objects.filter(attempts__gt=0).update(due_at=at(1e6))
        assert dispatch_due(answering(DEAD), now) == 1
        retry_at = destination_breaker.circuit_of(Destination.objects.get().breaker, now).retry_at
        assert retry_at is not None
        waits.append(round((retry_at - now).total_seconds()))
        now = retry_at + timedelta(seconds=0.001)
    assert waits == [10] * 7


def test_recovery_sends_what_waits_in_its_order(hook: Destination) -> None:
    open_circuit(hook)  # m0 to m4, due again at 600
    write(hook, 9, OPENED_AT)
    receiver = Receiver()
    sent = [dispatch_due(receiver, at(OPENED_AT + 10 + second)) for second in range(8)]
    assert sent == [1, 1, 1, 1, 1, 1, 0, 0]
    assert titles(receiver) == ["m9", "m0", "m1", "m2", "m3", "m4"]  # m9 was due, and so was the trial
    assert not Notification.objects.exclude(status="delivered").exists()


def test_another_destination_is_unaffected(hook: Destination) -> None:
    other = make_hook("other")
    open_circuit(hook)
    write(hook, 8, OPENED_AT)
    write(other, 9, OPENED_AT)
    receiver = Receiver()
    assert dispatch_due(receiver, at(OPENED_AT + 1)) == 1
    assert titles(receiver) == ["m9"]


def drive(dispatcher: Dispatcher, now: datetime) -> None:
    """A round, and one that records what came back."""
    dispatcher.round(now)
    while dispatcher.in_flight:
        dispatcher.wait(10)
        dispatcher.round(now)


@pytest.fixture
def dispatching() -> Iterator[Callable[[Post], Dispatcher]]:
    begun: list[Dispatcher] = []

    def begin(post: Post) -> Dispatcher:
        begun.append(Dispatcher(post))
        return begun[-1]

    yield begin
    for each in begun:
        each.finish(10)


def test_a_new_runner_keeps_the_open_circuit(hook: Destination, dispatching: Callable[[Post], Dispatcher]) -> None:
    dead, alive = answering(DEAD), Receiver()
    first = dispatching(dead)
    for number in range(8):
        write(hook, number)
        drive(first, at(number))
    assert len(dead.asked) == 5
    second = dispatching(alive)
    drive(second, at(13))
    assert alive.asked == []
    drive(second, at(15))  # 10 s after the fifth failure
    assert alive.asked


@pytest.mark.parametrize(
    "answer",
    [
        Reply(400, {}, b""),
        Reply(413, {}, b""),
        Reply(429, {}, b""),
        Reply(425, {}, b""),
        Reply(503, {"retry-after": "1"}, b""),
        RetryAfter(None, "our log says why", ours=True),
    ],
)
def test_an_answer_or_a_fault_of_ours_does_not_open_it(hook: Destination, answer: Answer) -> None:
    for number in range(8):
        write(hook, number)
        Notification.objects.filter(attempts__gt=0).update(status="dead")
        Destination.objects.update(enabled=True)
        assert dispatch_due(answering(answer), at(number * 100)) == 1
    assert destination_breaker.circuit_of(Destination.objects.get().breaker, at(701)) == destination_breaker.Circuit(None, None)


@pytest.mark.parametrize("answer", [Reply(500, {}, b""), Reply(503, {}, b""), Reply(403, {}, b""), Reply(404, {}, b""), DEAD])
def test_failures_of_the_receiver_open_it(hook: Destination, answer: Answer) -> None:
    fail_often(hook, answer)
    assert destination_breaker.circuit_of(Destination.objects.get().breaker, at(OPENED_AT)).retry_at == at(OPENED_AT + 10)


def test_an_answer_in_between_begins_the_count_anew(hook: Destination) -> None:
    fail_often(hook, times=4)
    write(hook, 8, OPENED_AT)
    dispatch_due(answering(Reply(400, {}, b"")), at(OPENED_AT + 1))
    write(hook, 9, OPENED_AT)
    dispatch_due(answering(DEAD), at(OPENED_AT + 2))
    assert destination_breaker.circuit_of(Destination.objects.get().breaker, at(OPENED_AT + 2)).opened_at is None


def test_a_secret_that_cannot_be_read_is_our_own_trouble(hook: Destination) -> None:
    write(hook, 1)
    (leased,) = dispatch.claim(at(0), room=1, owner=uuid.uuid4())
    unread = dispatch.Leased(leased.notification, leased.owner, leased.message, None, "cannot be decrypted")
    assert dispatch.send_leased(unread, Receiver(), 0.0) == RetryAfter(None, "cannot be decrypted", ours=True)


def test_a_trial_whose_sender_dies_expires_with_its_lease(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    assert len(dispatch.claim(at(OPENED_AT + 10), room=32, owner=uuid.uuid4())) == 1  # killed
    receiver = Receiver()
    assert dispatch_due(receiver, at(OPENED_AT + 10 + dispatch.LEASE - 1)) == 0
    assert dispatch_due(receiver, at(OPENED_AT + 10 + dispatch.LEASE + 1)) == 1
    assert titles(receiver) == ["m9"]


def test_an_answer_that_comes_after_its_lease_changes_no_circuit(hook: Destination) -> None:
    fail_often(hook, times=4)
    write(hook, 9)
    (late,) = dispatch.claim(at(OPENED_AT + 1), room=1, owner=uuid.uuid4())
    dispatch.claim(at(OPENED_AT + 40), room=1, owner=uuid.uuid4())
    outcomes.record(late, DEAD, began=at(OPENED_AT + 1), duration=40, now=at(OPENED_AT + 41))
    assert destination_breaker.circuit_of(Destination.objects.get().breaker, at(OPENED_AT + 41)).opened_at is None


def test_a_message_that_waits_a_day_is_given_up_all_the_same(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    dispatch.expire_superseded(at(86400 + OPENED_AT + 1))
    assert Notification.objects.get(dedup_key="key/9").status == "dead"


def test_a_receiver_that_comes_back_gets_what_waits_within_ten_seconds(hook: Destination) -> None:
    """By its schedule alone the message would wait for minutes more, later for half an hour."""
    write(hook, 1, severity="critical")
    dead, now, tried = answering(DEAD), 0.0, []
    while now < 300:
        if dispatch_due(dead, at(now)):
            tried.append(now)
        now = max(now, (Notification.objects.get().due_at - at(0)).total_seconds()) + 0.5
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert max(gaps[4:]) <= 11.0  # once the circuit is open
    back = Receiver()
    for second in range(11):
        dispatch_due(back, at(now + second))
    assert titles(back) == ["m1"]


def test_transitions_are_logged(hook: Destination, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="alerts.services.destination_breaker")
    open_circuit(hook)
    write(hook, 8, OPENED_AT)
    dispatch_due(answering(DEAD), at(OPENED_AT + 10))
    write(hook, 9, OPENED_AT)
    dispatch_due(Receiver(), at(OPENED_AT + 21))
    said = ("opened", "stays open: the trial failed", "closed")
    assert caplog.messages == [f"circuit of destination hook {each}" for each in said]


def test_a_trial_that_finds_the_destination_gone_is_one_event(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    dispatch_due(answering(Refused("answered 410", Disable.NOW, 410)), at(OPENED_AT + 10))
    assert [message.split(":")[0] for _, message in recorded()] == ["Alerts to hook are disabled", "Alerts to hook do not arrive"]


def test_a_trial_that_is_rate_limited_is_no_event(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    assert dispatch_due(answering(Reply(429, {"retry-after": "60"}, b"")), at(OPENED_AT + 10)) == 1
    circuit = destination_breaker.circuit_of(Destination.objects.get().breaker, at(OPENED_AT + 16))
    assert (circuit.opened_at, circuit.retry_at) == (at(OPENED_AT), None)
    assert Destination.objects.get().next_send_at == at(OPENED_AT + 70)


def test_enabling_it_again_forgets_the_circuit(hook: Destination) -> None:
    open_circuit(hook)
    destinations.on_enabled(hook.pk, at(OPENED_AT + 1))
    assert dispatch_due(Receiver(), at(OPENED_AT + 1)) == 1


def test_a_test_passes_an_open_circuit_and_closes_it(hook: Destination) -> None:
    open_circuit(hook)
    write(hook, 9, OPENED_AT)
    receiver = Receiver()
    send_test(hook, actor="ada", now=at(OPENED_AT + 2), post=receiver)
    dispatch_due(receiver, at(OPENED_AT + 3))
    assert [each["type"] for each in receiver.arrived] == ["alert.tested", "alert.told"]


def test_a_test_that_fails_leaves_an_open_circuit_as_it_was(hook: Destination) -> None:
    open_circuit(hook)
    send_test(hook, actor="ada", now=at(OPENED_AT + 2), post=answering(DEAD))
    assert destination_breaker.circuit_of(Destination.objects.get().breaker, at(OPENED_AT + 3)).retry_at == at(OPENED_AT + 10)


def test_an_answer_to_what_was_sent_before_it_opened_is_too_late(hook: Destination) -> None:
    open_circuit(hook)
    stored = Destination.objects.get()
    assert destination_breaker.count_outcome(stored, Accepted(202), at(OPENED_AT + 1), by_hand=False) is None
    assert destination_breaker.circuit_of(stored.breaker, at(OPENED_AT + 1)).retry_at == at(OPENED_AT + 10)


def test_a_breaker_that_cannot_be_read_begins_anew(hook: Destination, caplog: pytest.LogCaptureFixture) -> None:
    Destination.objects.update(breaker={"state": "ajar", "written": "by another version"})
    write(hook, 9)
    assert dispatch_due(Receiver(), at(0)) == 1
    assert "begins anew" in caplog.text


def test_a_new_address_forgets_the_circuit_of_the_old_one(hook: Destination, admin: Client) -> None:
    open_circuit(hook)
    form = {"name": "hook", "kind": "webhook", "enabled": "on", "base_url": hook.base_url, "new_key": ""}
    admin.post(reverse("admin:alerts_destination_change", args=[hook.pk]), form | {"new_address": ""})
    assert Destination.objects.get().breaker is not None
    admin.post(
        reverse("admin:alerts_destination_change", args=[hook.pk]),
        form | {"new_address": "https://new.test/", "new_key": history.SIGNING_SECRET},
    )
    assert Destination.objects.get().breaker is None
    assert dispatch_due(Receiver(), at(OPENED_AT + 1)) == 1


def page(viewer: Client) -> str:
    return " ".join(viewer.get(reverse("alerts:destinations")).content.decode().split())


def test_the_page_says_in_words_how_the_circuit_stands(hook: Destination, viewer: Client) -> None:
    assert "circuit" not in page(viewer)
    now = timezone.now()
    for _ in range(5):
        destination_breaker.count_outcome(hook, DEAD, now, by_hand=False)
    hook.save(update_fields=["breaker"])
    first = write(hook, 1)
    assert "1 message waits" in page(viewer)
    write(hook, 2)
    for said in ('circuit open</span> <span class="reason">since <time', "next try in <time", "2 messages wait"):
        assert said in page(viewer)
    assert b"blocked by the open circuit of hook" in viewer.get(first.get_absolute_url()).content


def test_the_page_says_that_the_next_message_is_the_trial(hook: Destination, viewer: Client) -> None:
    for _ in range(5):
        destination_breaker.count_outcome(hook, DEAD, timezone.now() - timedelta(minutes=1), by_hand=False)
    hook.save(update_fields=["breaker"])
    assert "circuit half-open" in page(viewer)
    assert "the next message is the trial" in page(viewer)


def test_an_event_about_no_destination_reaches_every_destination(hook: Destination) -> None:
    history.slack()
    history.slack("second")
    add_event(EventType.CHECKS_LATE, Severity.WARNING)
    routing.route(at(0))
    assert Notification.objects.count() == 2
