"""The receiver refuses what Slack, PagerDuty and a signed webhook refuse, and keeps alerts as PagerDuty does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from failover_console.demo.http import Request, Response
from failover_console.demo.layout import ROUTING_KEY, SLACK_PATH, WEBHOOK_SECRET
from failover_console.demo.receiver import PAGERDUTY_BURST, SLACK_BURST, Receiver, ReceiverMode

PAYLOAD = {"summary": "api-1 failed", "source": "console", "severity": "critical"}


def event(action: str = "trigger", key: str = "incident-1", **changes: Any) -> dict[str, Any]:
    """An event of PagerDuty's; a change to None leaves the field out."""
    made: dict[str, Any] = {"routing_key": ROUTING_KEY, "event_action": action, "dedup_key": key}
    if action == "trigger":
        made["payload"] = PAYLOAD
    return {name: value for name, value in (made | changes).items() if value is not None}


async def post(receiver: Receiver, path: str, body: object, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await receiver.answer(Request("POST", path, headers, raw))
    assert answer is not None
    return answer


async def page(receiver: Receiver, body: object) -> Response:
    return await post(receiver, "/v2/enqueue", body)


async def test_an_alert_is_opened_acknowledged_and_resolved_under_its_key() -> None:
    receiver = Receiver()

    answers = [await page(receiver, event(action)) for action in ("trigger", "trigger", "acknowledge")]
    assert [each.status for each in answers] == [202, 202, 202]
    assert json.loads(answers[0].body)["dedup_key"] == "incident-1"
    assert [(each.state, each.triggers) for each in receiver.alerts] == [("acknowledged", 2)]

    await page(receiver, event("resolve"))
    await page(receiver, event("trigger"))
    assert [each.state for each in receiver.alerts] == ["resolved", "triggered"]


async def test_the_first_summary_is_kept_and_only_a_new_alert_wakes_somebody() -> None:
    receiver = Receiver()
    for summary, severity in (("one node down", "warning"), ("two nodes down", "critical")):
        await page(receiver, event(payload={**PAYLOAD, "summary": summary, "severity": severity}))
    (alert,) = receiver.alerts
    assert (alert.title, alert.severity, receiver.woken) == ("one node down", "warning", 1)
    assert [message.woke for message in receiver.messages] == [True, False]

    await page(receiver, event(key="incident-1/2"))
    assert receiver.woken == 2


async def test_an_end_without_a_beginning_or_under_another_key_is_dropped() -> None:
    receiver = Receiver()
    await page(receiver, event("trigger"))

    for body in (event("resolve", "incident-2"), event("resolve", routing_key="x" * 32)):
        assert (await page(receiver, body)).status == 202

    assert [each.state for each in receiver.alerts] == ["triggered"]


async def test_triggers_without_a_key_are_alerts_of_their_own() -> None:
    receiver = Receiver()
    for summary in ("one", "two"):
        await page(receiver, event(dedup_key=None, payload={**PAYLOAD, "summary": summary}))

    assert len(receiver.alerts) == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"[]", "no object"),
        (event(routing_key="short"), "routing_key"),
        (event(routing_key=None), "routing_key"),
        (event("snooze"), "event_action"),
        (event("resolve", dedup_key=None), "dedup_key"),
        (event(key="k" * 256), "255"),
        (event(payload=None), "payload"),
        (event(payload={**PAYLOAD, "summary": ""}), "payload.summary"),
        (event(payload={**PAYLOAD, "summary": "s" * 1025}), "1024"),
        (event(payload={**PAYLOAD, "source": ""}), "payload.source"),
        (event(payload={**PAYLOAD, "severity": "bad"}), "payload.severity"),
        (event(payload={**PAYLOAD, "custom_details": "x" * 512_000}), "512 KB"),
    ],
)
async def test_pagerduty_refuses_a_bad_event_and_keeps_nothing(body: object, says: str) -> None:
    receiver = Receiver()

    answer = await page(receiver, body)

    assert answer.status == 400
    assert says in answer.body.decode()
    assert (list(receiver.messages), receiver.alerts) == ([], [])


async def test_pagerduty_throttles_above_its_rate() -> None:
    receiver = Receiver()
    found = [(await page(receiver, event())).status for _ in range(PAGERDUTY_BURST + 1)]

    assert found == [202] * PAGERDUTY_BURST + [429]


async def test_slack_takes_a_message_and_answers_ok() -> None:
    receiver = Receiver()

    answer = await post(receiver, SLACK_PATH, {"text": "api-1 failed", "blocks": []})

    assert (answer.status, answer.body) == (200, b"ok")
    assert [each.title for each in receiver.messages] == ["api-1 failed"]


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/services/T0/B0/wrong", {"text": "x"}, 404, b"no_service"),
        (SLACK_PATH, b"{", 400, b"invalid_payload"),
        (SLACK_PATH, [], 400, b"invalid_payload"),
        (SLACK_PATH, {}, 400, b"no_text"),
        (SLACK_PATH, {"text": "x", "blocks": [{"type": "divider"}] * 51}, 400, b"invalid_blocks"),
        (SLACK_PATH, {"text": "x", "blocks": [{"type": "section", "text": {"text": "y" * 3001}}]}, 400, b"invalid_blocks"),
        (SLACK_PATH, {"text": "x", "blocks": [{"type": "header", "text": {"text": "y" * 151}}]}, 400, b"invalid_blocks"),
        (SLACK_PATH, {"text": "x", "blocks": [{"type": "section", "text": {"text": "y" * 2900}}] * 5}, 400, b"msg_blocks_too_long"),
    ],
)
async def test_slack_refuses_with_its_own_words(path: str, body: object, status: int, word: bytes) -> None:
    receiver = Receiver()

    answer = await post(receiver, path, body)

    assert (answer.status, answer.body) == (status, word)
    assert not receiver.messages


async def test_slack_asks_to_wait_above_its_rate() -> None:
    receiver = Receiver()
    answers = [await post(receiver, SLACK_PATH, {"text": "x"}) for _ in range(SLACK_BURST + 1)]

    assert [each.status for each in answers] == [200] * SLACK_BURST + [429]
    assert answers[-1].headers["Retry-After"] == "1"


def signed(body: bytes, *, stamp: float | None = None) -> dict[str, str]:
    at = str(int(time.time() if stamp is None else stamp))
    secret = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    made = base64.b64encode(hmac.new(secret, f"msg_1.{at}.".encode() + body, hashlib.sha256).digest()).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": f"v1,bm9uZQ== v1,{made}"}


async def test_a_signed_webhook_is_kept_once() -> None:
    receiver, body = Receiver(), b'{"type": "failover.completed"}'

    for _ in range(2):
        assert (await post(receiver, "/webhook", body, **signed(body))).status == 200

    assert [each.title for each in receiver.messages] == ["failover.completed"]


async def test_a_webhook_with_a_bad_or_old_signature_is_refused() -> None:
    receiver, body = Receiver(), b'{"type": "failover.completed"}'

    for headers in ({}, signed(b"other"), signed(body, stamp=1_000_000), {**signed(body), "webhook-timestamp": "soon"}):
        assert (await post(receiver, "/webhook", body, **headers)).status == 401

    assert not receiver.messages


@pytest.mark.parametrize(("mode", "status"), [(ReceiverMode.DOWN, 503), (ReceiverMode.BUSY, 429)])
async def test_its_switches_make_it_refuse_everything(mode: ReceiverMode, status: int) -> None:
    receiver = Receiver(mode)

    assert (await page(receiver, event())).status == status
    assert (await post(receiver, SLACK_PATH, {"text": "x"})).status == status
    assert not receiver.messages


async def test_it_takes_posts_to_known_addresses_only() -> None:
    assert (await post(Receiver(), "/elsewhere", {})).status == 404
    answer = await Receiver().answer(Request("GET", "/v2/enqueue", {}, b""))
    assert answer is not None
    assert answer.status == 405
