"""What we send is what the services take: over HTTP, against a receiver that refuses what the real ones refuse."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from alerts.delivery import Accepted, Endpoint, Message, Payload, Refused, RetryAfter, send, transport
from alerts.rules import Action, Kind
from failover_console.demo.layout import ROUTING_KEY, SLACK_PATH, WEBHOOK_SECRET
from failover_console.demo.receiver import Receiver, ReceiverMode, ReceiverThread

NOW_TEXT = "2026-11-23T12:00:00.000Z"
LONG = "node <!channel> & \x1b[31m \n" * 400
PLAIN = Payload(
    "b failed 3 checks", "b failed", "critical", NOW_TEXT, "https://console.example/incidents/1/", "https://console.example"
)
HUGE = Payload(
    LONG,
    LONG,
    "warning",
    NOW_TEXT,
    "https://console.example/",
    "https://console.example",
    pool=LONG,
    node=LONG,
    did=LONG,
    note=LONG,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with ReceiverThread() as running:
        yield running


def make_endpoint(kind: Kind, receiver: Receiver) -> Endpoint:
    base = f"http://127.0.0.1:{receiver.port}"
    return {
        Kind.SLACK: Endpoint(kind, base + SLACK_PATH),
        Kind.PAGERDUTY: Endpoint(kind, key=ROUTING_KEY, base_url=base),
        Kind.WEBHOOK: Endpoint(kind, base + "/webhook", WEBHOOK_SECRET),
    }[kind]


def make_message(action: Action, payload: Payload = PLAIN, key: str = "failover-console/x/incident/1") -> Message:
    return Message(f"msg_{action.value}", action, key, 1, payload)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("payload", [PLAIN, HUGE], ids=["plain", "huge"])
def test_every_message_is_taken(receiver: Receiver, kind: Kind, action: Action, payload: Payload) -> None:
    assert isinstance(send(make_message(action, payload), make_endpoint(kind, receiver), transport.post, time.time()), Accepted)
    assert len(receiver.messages) == 1


def test_a_pagerduty_alert_is_opened_acknowledged_and_resolved_by_one_key(receiver: Receiver) -> None:
    seen = []
    for action in (Action.TRIGGER, Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE):
        send(make_message(action), make_endpoint(Kind.PAGERDUTY, receiver), transport.post, time.time())
        seen.append(receiver.alerts[0].state)
    assert seen == ["triggered", "triggered", "acknowledged", "resolved"]
    assert (len(receiver.alerts), receiver.alerts[0].triggers) == (1, 2)


def test_a_repeated_webhook_is_known_by_its_id(receiver: Receiver) -> None:
    for _ in range(2):
        assert isinstance(
            send(make_message(Action.TRIGGER), make_endpoint(Kind.WEBHOOK, receiver), transport.post, time.time()), Accepted
        )
    assert len(receiver.messages) == 1


def test_a_receiver_that_is_busy_says_when_and_one_that_is_down_does_not(receiver: Receiver) -> None:
    receiver.mode = ReceiverMode.BUSY
    assert send(make_message(Action.TRIGGER), make_endpoint(Kind.PAGERDUTY, receiver), transport.post, time.time()) == RetryAfter(
        3.0, "answered 429", status=429
    )
    receiver.mode = ReceiverMode.DOWN
    assert send(make_message(Action.TRIGGER), make_endpoint(Kind.SLACK, receiver), transport.post, time.time()) == RetryAfter(
        None, "answered 503", status=503
    )


def test_a_slack_address_that_is_no_more_is_refused_for_good(receiver: Receiver) -> None:
    gone = Endpoint(Kind.SLACK, f"http://127.0.0.1:{receiver.port}/services/T/B/gone")
    assert isinstance(send(make_message(Action.TRIGGER), gone, transport.post, time.time()), Refused)
