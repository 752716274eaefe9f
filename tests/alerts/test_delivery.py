"""What is sent, and what each answer means: Slack, PagerDuty, signed webhooks, and receivers that misbehave."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery import (
    Accepted,
    Disable,
    Endpoint,
    Message,
    Outcome,
    Payload,
    Refused,
    Reply,
    RetryAfter,
    pagerduty,
    send,
    slack,
    transport,
    webhook,
)
from alerts.delivery.answers import backoff, retry_after
from alerts.rules import Action, Kind
from nodes.sign_of_life import boot_time
from tests.alerts.history import ROUTING_KEY, SIGNING_SECRET, SLACK_URL
from tests.alerts.receivers import Behaviour, answers, closes_in_the_middle, hangs, never_ends, receiver, reply, resets

NOW = 1_795_435_200.0  # 2026-11-23 12:00 UTC
PAYLOAD = Payload(
    title="api-2 marked failed: connection refused",
    text="api: api-2 failed",
    severity="critical",
    at="2026-11-23T12:00:00.000Z",
    url="https://console.example/incidents/7/",
    console="https://console.example",
    type="node_marked_failed",
    pool="API",
    node="api-2",
    did="its share moved to api-1 (now 50.00 %)",
    runbook="https://runbooks.example/api",
    incident=7,
    event=99,
)


def make_message(action: Action = Action.TRIGGER, payload: Payload = PAYLOAD) -> Message:
    return Message("msg_1", action, "failover-console/x/incident/7", 1, payload)


def answered(kind: Kind, status: int, body: bytes = b"", **headers: str) -> Outcome:
    def post(url: str, body_: bytes, headers_: Mapping[str, str]) -> Reply:
        return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    return send(make_message(), Endpoint(kind, SLACK_URL, SIGNING_SECRET, "https://events.pagerduty.com"), post, NOW)


@pytest.mark.parametrize(
    ("kind", "status", "body", "expected"),
    [
        (Kind.SLACK, 200, b"ok", Accepted(200)),
        (Kind.SLACK, 400, b"invalid_payload", Refused("Slack says invalid_payload", Disable.NO, 400)),
        (Kind.SLACK, 403, b"invalid_token", Refused("Slack says invalid_token", Disable.NOW, 403)),
        (Kind.SLACK, 400, b"invalid_token", Refused("Slack says invalid_token", Disable.NOW, 400)),
        (Kind.SLACK, 404, b"channel_not_found", Refused("Slack says channel_not_found", Disable.NOW, 404)),
        (Kind.SLACK, 410, b"channel_is_archived", Refused("Slack says channel_is_archived", Disable.NOW, 410)),
        (Kind.SLACK, 404, b"<html>", RetryAfter(None, "answered 404", status=404)),
        (Kind.PAGERDUTY, 403, b"", RetryAfter(None, "answered 403", status=403)),
        (Kind.PAGERDUTY, 401, b"", RetryAfter(None, "answered 401", status=401)),
        (Kind.WEBHOOK, 413, b"", Refused("answered 413", Disable.NO, 413)),
        (Kind.WEBHOOK, 422, b"", Refused("answered 422", Disable.NO, 422)),
        (Kind.SLACK, 500, b"rollup_error", RetryAfter(None, "answered 500", ambiguous=True, status=500)),
        (Kind.SLACK, 200, b"<html>", RetryAfter(None, "answered 200, but not with Slack's ok", ambiguous=True, status=200)),
        (Kind.PAGERDUTY, 202, b'{"status":"success"}', Accepted(202)),
        (Kind.PAGERDUTY, 400, b"{}", Refused("PagerDuty refused the event: wrong routing key or field", Disable.NO, 400)),
        (Kind.PAGERDUTY, 429, b"", RetryAfter(None, "answered 429", status=429)),
        (Kind.PAGERDUTY, 503, b"", RetryAfter(None, "answered 503", status=503)),
        (Kind.PAGERDUTY, 200, b"", RetryAfter(None, "answered 200, PagerDuty answers 202", ambiguous=True, status=200)),
        (Kind.WEBHOOK, 204, b"", Accepted(204)),
        (Kind.WEBHOOK, 302, b"", RetryAfter(None, "answered 302: redirects are never followed", status=302)),
        (Kind.WEBHOOK, 410, b"", Refused("answered 410: gone for good", Disable.NOW, 410)),
        (Kind.WEBHOOK, 408, b"", RetryAfter(None, "answered 408", status=408)),
    ],
)
def test_each_answer_has_its_meaning(kind: Kind, status: int, body: bytes, expected: Outcome) -> None:
    assert answered(kind, status, body) == expected


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("30", 30.0),
        ("0", 1.0),
        ("999999999999999999999", 900.0),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2020 12:01:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 900.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("²", None),
    ],
)
def test_retry_after_is_honoured_within_reason(asked: str, seconds: float | None) -> None:
    outcome = answered(Kind.PAGERDUTY, 429, retry_after=asked)
    assert outcome == RetryAfter(seconds, "answered 429", status=429)


@given(st.text())
def test_no_retry_after_can_stop_or_hurry_us(asked: str) -> None:
    seconds = retry_after(asked, NOW)
    assert seconds is None or 1 <= seconds <= 900


def test_the_schedule_of_retries_has_little_jitter() -> None:
    steps = [0, 2, 10, 30, 60, 120, 300, 600, 1800, 3600, 3600]
    for attempts, step in enumerate(steps):
        assert backoff(attempts, 0.0) == pytest.approx(step * 0.85)
        assert backoff(attempts, 0.999999) == pytest.approx(step * 1.15, rel=1e-4)


def test_a_slack_message_says_how_bad_what_where_and_what_was_done() -> None:
    message = slack.render(make_message())
    shown = json.dumps(message, ensure_ascii=False)
    assert message["blocks"][0]["text"]["text"] == "🔴 Critical: api-2 marked failed: connection refused"
    for part in (
        "Pool: API",
        "Node: api-2",
        "its share moved to api-1",
        "<https://console.example/incidents/7/|Open in the console>",
        "|Runbook>",
    ):
        assert part in shown
    assert message["text"].startswith("🔴 Critical: api-2 marked failed")


def test_a_resolve_in_slack_is_green() -> None:
    assert slack.render(make_message(Action.RESOLVE))["blocks"][0]["text"]["text"].startswith("🟢 Resolved")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            text for name, part in value.items() for text in ([part] if name == "text" and isinstance(part, str) else _texts(part))
        ]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


@given(st.text(alphabet="<>&!@|*\n`ab ", max_size=400), st.integers(1, 60))
def test_no_text_can_forge_a_mention_or_a_link_or_break_a_limit(text: str, times: int) -> None:
    hostile = text * times + "<!channel> <@U1> <https://evil.example|x>"
    payload = Payload(
        hostile,
        hostile,
        "critical",
        "",
        "https://console.example/",
        "https://console.example",
        pool=hostile,
        node=hostile,
        did=hostile,
    )
    message = slack.render(make_message(payload=payload))
    ours = "<https://console.example/|Open in the console>"
    for each in _texts(message):
        assert "<" not in each.replace(ours, "")
        assert len(each) <= 4000
    header = message["blocks"][0]["text"]["text"]
    assert len(header) <= 150
    assert "\n" not in header
    assert sum(len(each) for each in _texts(message["blocks"])) <= 13_000
    assert len(message["blocks"]) <= 50


def test_a_runbook_is_a_link_only_when_it_is_one() -> None:
    payload = Payload("t", "t", "warning", "", "https://console.example/", "", runbook="javascript:alert(1)")
    assert "javascript" not in json.dumps(slack.render(make_message(payload=payload)))


def test_a_pagerduty_event_has_what_the_service_needs() -> None:
    event = pagerduty.render(make_message(), ROUTING_KEY)
    assert event["event_action"] == "trigger"
    assert event["dedup_key"] == "failover-console/x/incident/7"
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["source"] == event["payload"]["component"] == "api-2"
    assert event["payload"]["group"] == "API"
    assert event["links"][0]["href"] == "https://console.example/incidents/7/"
    assert event["payload"]["custom_details"]["what was done"].startswith("its share moved")


def test_a_resolve_in_pagerduty_is_its_key_alone() -> None:
    assert pagerduty.render(make_message(Action.RESOLVE), ROUTING_KEY) == {
        "routing_key": ROUTING_KEY,
        "event_action": "resolve",
        "dedup_key": "failover-console/x/incident/7",
    }


def test_a_long_summary_is_cut_to_what_pagerduty_takes() -> None:
    payload = Payload("t" * 3000, "u" * 3000, "warning", "", "", "")
    summary = pagerduty.render(make_message(payload=payload), ROUTING_KEY)["payload"]["summary"]
    assert len(summary) == 1024


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    signature = webhook.sign(SIGNING_SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_twice_so_that_one_can_be_replaced() -> None:
    other = webhook.new_secret()
    first, second = webhook.sign(f"{SIGNING_SECRET} {other}", "msg_1", 1, b"{}").split()
    expected = base64.b64encode(hmac.new(webhook.secret_bytes(other), b"msg_1.1.{}", sha256).digest()).decode()
    assert second == f"v1,{expected}"
    assert first != second


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_short", "whsec_!!!!", base64.b64encode(bytes(32)).decode()])
def test_a_malformed_signing_secret_is_refused_before_anything_is_sent(key: str) -> None:
    asked: list[str] = []

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        asked.append(url)
        return Reply(200, {}, b"")

    outcome = send(make_message(), Endpoint(Kind.WEBHOOK, "https://x.example/", key), post, NOW)
    assert isinstance(outcome, RetryAfter)
    assert outcome.ours  # the secret may be mended
    assert asked == []


def test_a_webhook_says_type_time_and_data_and_keeps_its_id() -> None:
    seen: dict[str, Any] = {}

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        seen.update(headers, body=json.loads(body))
        return Reply(200, {}, b"")

    send(make_message(Action.RESOLVE), Endpoint(Kind.WEBHOOK, "https://x.example/", SIGNING_SECRET), post, NOW)
    assert seen["webhook-id"] == "msg_1"
    assert seen["webhook-timestamp"] == str(int(NOW))
    assert seen["body"]["type"] == "incident.resolved"
    assert seen["body"]["timestamp"] == PAYLOAD.at
    assert seen["body"]["data"]["key"] == "failover-console/x/incident/7"


def test_an_endpoint_shows_no_secret() -> None:
    shown = repr(Endpoint(Kind.SLACK, SLACK_URL, ROUTING_KEY, "https://events.pagerduty.com"))
    assert SLACK_URL not in shown
    assert ROUTING_KEY not in shown


def deliver(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch, kind: Kind = Kind.SLACK) -> Outcome:
    monkeypatch.setattr(transport, "TIMEOUT", 0.5)
    with receiver(behaviour) as url:
        return send(make_message(), Endpoint(kind, url, SIGNING_SECRET, url), transport.post, NOW)


def test_a_receiver_that_takes_the_message_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deliver(answers(reply("200 OK", b"ok")), monkeypatch) == Accepted(200)


def test_what_may_not_begin_any_more_sends_no_byte() -> None:
    asked: list[str] = []
    with receiver(lambda *_: asked.append("a request")) as url, transport.starting_by(boot_time() - 0.1):
        outcome = send(make_message(), Endpoint(Kind.SLACK, url), transport.post, NOW)
    assert isinstance(outcome, RetryAfter)
    assert (outcome.ours, outcome.ambiguous) == (True, False)
    assert asked == []


@pytest.mark.parametrize("behaviour", [hangs, resets, closes_in_the_middle])
def test_an_answer_that_is_cut_off_is_ambiguous(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = deliver(behaviour, monkeypatch)
    assert isinstance(outcome, RetryAfter)
    assert outcome.ambiguous
    assert "s3cr3tcanary" not in outcome.reason


def test_garbage_in_the_place_of_an_answer_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = deliver(answers(b"\x00\xff nonsense\r\n\r\n"), monkeypatch)
    assert isinstance(outcome, RetryAfter)


def test_an_endless_body_is_cut_and_not_taken_for_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = deliver(never_ends, monkeypatch)
    assert isinstance(outcome, RetryAfter)


def test_a_429_with_seconds_over_a_real_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = answers(reply("429 Too Many Requests", b"rate_limited", "Retry-After: 7"))
    assert deliver(busy, monkeypatch) == RetryAfter(7.0, "answered 429", status=429)


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = answers(reply("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/"))
    outcome = deliver(moved, monkeypatch, Kind.WEBHOOK)
    assert isinstance(outcome, RetryAfter)
    assert "never followed" in outcome.reason


def test_a_refused_connection_is_not_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(hangs) as url:
        pass
    outcome = send(make_message(), Endpoint(Kind.SLACK, url), transport.post, NOW)
    assert isinstance(outcome, RetryAfter)
    assert not outcome.ambiguous


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/", "https://10.0.0.1/hook", "https://user@127.0.0.1/", "file:///etc/passwd"]
)
def test_what_the_egress_rules_refuse_is_not_sent(url: str) -> None:
    outcome = send(make_message(), Endpoint(Kind.SLACK, url), transport.post, NOW)
    assert isinstance(outcome, RetryAfter)
    assert outcome.ours  # the setting may be mended
