"""Real traffic tells: a batch of outcomes moves a node's breaker, or is refused whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.engine.enums import Origin
from nodes.forms.outcomes import LARGEST_BODY, MAX_CALLS, MAX_ENTRIES, UnreadableError, parse
from nodes.models import ApiToken, Event, Failover, Node, NodeState, Pool
from nodes.views.bearer import RECENT
from tests.api.conftest import Token

NOW = 1_790_000_000.0

# Reports are counted over connections of their own, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def node(api: Pool) -> Node:
    """A node that passes its checks and holds all traffic but for what its neighbour, which failed, may take."""
    return Node.objects.get(name="api-1")


def send(node: Node, body: Any, authorization: str = "", client: Client | None = None, *, key: str | None = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"Authorization": authorization} | ({} if key is None else {"Idempotency-Key": key})
    return (client or Client(enforce_csrf_checks=True)).post(
        reverse("nodes:outcomes", args=[node.pk]), text, content_type="application/json", headers=headers
    )


def test_failing_calls_open_the_breaker(node: Node, token: Token) -> None:
    answer = send(node, {"outcomes": [{"success": 0, "failure": 5}]}, token("outcomes"))
    assert answer.status_code == 202
    assert answer.json() == {
        "node": node.pk, "breaker": "open", "opened_by": "calls", "health": "healthy", "share": 10_000,
        "repeated": False, "counted": 5, "late": [], "refused": [],
    }  # fmt: skip  # what it came to, and what became of the calls
    state = NodeState.objects.get(node=node)
    assert (state.breaker_state, state.breaker_opened_by) == ("open", Origin.CALLS)


def test_the_refusal_to_fail_over_the_last_node_is_told_and_kept(node: Node, token: Token) -> None:
    send(node, {"outcomes": [{"failure": 5}]}, token("outcomes"))
    assert Event.objects.filter(node=node, type="failover_refused", severity="critical").count() == 1
    assert Failover.objects.get(node=node, status="refused").reason == "api-1: its breaker was opened by calls: 5 failures in a row"


def test_good_calls_are_counted(node: Node, token: Token) -> None:
    before = NodeState.objects.get(node=node)
    assert send(node, {"outcomes": [{"success": 40, "failure": 2}]}, token("outcomes")).json()["breaker"] == "closed"
    after = NodeState.objects.get(node=node)
    assert (after.breaker_successful - before.breaker_successful, after.breaker_failed - before.breaker_failed) == (40, 2)


def test_the_run_of_calls_outlives_the_request(node: Node, token: Token) -> None:
    answers = [send(node, {"outcomes": [{"failure": 1}]}, token("outcomes")).json()["breaker"] for _ in range(5)]
    assert answers == ["closed", "closed", "closed", "closed", "open"]


def test_load_is_kept_and_told(node: Node, token: Token) -> None:
    Node.objects.filter(pk=node.pk).update(capacity=100.0)
    for _ in range(3):
        assert send(node, {"load": 92.5}, token("outcomes")).status_code == 202
    assert NodeState.objects.get(node=node).load == {"last": 92.5, "high": 3}
    assert Event.objects.filter(type="high_load", severity="warning").count() == 1


def test_without_a_token_nothing_is_taken(node: Node) -> None:
    answer = send(node, {"load": 1})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_session_is_no_token(node: Node, admin_client: Client) -> None:
    assert send(node, {"load": 1}, client=admin_client).status_code == 401


def test_a_token_for_something_else_is_forbidden(node: Node, token: Token) -> None:
    answer = send(node, {"load": 1}, token("shares"))
    assert answer.status_code == 403
    assert "outcomes" in answer.json()["error"]


def test_asking_instead_of_posting_is_not_allowed(node: Node, client: Client) -> None:
    assert client.get(reverse("nodes:outcomes", args=[node.pk])).status_code == 405


def test_a_node_that_does_not_exist_is_not_found(node: Node, token: Token) -> None:
    Node.objects.filter(pk=node.pk).update(removed_at=timezone.now())
    assert send(node, {"load": 1}, token("outcomes")).status_code == 404


def test_a_body_that_is_too_large_is_refused(node: Node, token: Token) -> None:
    assert send(node, " " * (LARGEST_BODY + 1), token("outcomes")).status_code == 413


def test_a_batch_with_one_bad_entry_counts_nothing(node: Node, token: Token) -> None:
    before = NodeState.objects.get(node=node)
    answer = send(node, {"outcomes": [{"failure": 5}, {"failure": -1}]}, token("outcomes"))
    assert answer.status_code == 400
    assert answer.json()["error"] == f"outcomes[1].failure is a whole number from 0 to {MAX_CALLS}"
    assert NodeState.objects.get(node=node).version == before.version


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", "is an object"),
        ("{}", "is an object"),
        ('{"outcome": []}', "is an object"),
        ('{"outcomes": {}}', "is a list"),
        ('{"outcomes": [1]}', r"outcomes\[0\] is not an object"),
        ('{"outcomes": [{"success": 0}]}', "counts no call"),
        ('{"outcomes": [{"success": true}]}', "whole number"),
        ('{"outcomes": [{"success": 1.5}]}', "whole number"),
        ('{"outcomes": [{"success": 1, "slow": 2}]}', "more slow calls than calls"),
        ('{"outcomes": [{"success": 1, "slow": 1, "duration": 2}]}', "gives slow and duration"),
        ('{"outcomes": [{"success": 1, "duration": "long"}]}', "duration is a number"),
        ('{"outcomes": [{"success": 1, "duration": NaN}]}', "duration is a number"),
        ('{"outcomes": [{"success": 1, "at": "yesterday"}]}', "no ISO 8601 time"),
        ('{"outcomes": [{"success": 1, "at": "2026-01-31T12:00:00"}]}', "names no offset"),
        ('{"outcomes": [{"success": 1, "at": 1e12}]}', "ahead of the console's clock"),
        ('{"outcomes": [{"succes": 1}]}', "has no field 'succes'; there are at, duration, failure, slow, success"),
        ('{"outcomes": [{"success": 5000}, {"success": 1}]}', "5000 calls at the most"),
        ('{"load": -1}', "load is a number"),
        ('{"load": "high"}', "load is a number"),
        (f'{{"load": 1{"0" * 400}}}', "load is a number"),
        (f'{{"outcomes": [{{"success": 1, "at": 1{"0" * 400}}}]}}', "at is a number"),
        ('{"outcomes": ' + "[" * 900, "not JSON"),
        ('{"outcomes": ' + "[" * 50_000, "more parts"),
        ('{"outcomes": [' + "[]," * 300_000 + "[]]}", "more parts"),
        ('{"outcomes": [' + "{}," * 3_999 + "{}]}", "more parts"),
        ('{"outcomes": [' + '{"success": 1},' * 500 + '{"success": 1}]}', "500 entries at the most"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_sentence_why(body: str, sentence: str) -> None:
    with pytest.raises(UnreadableError, match=sentence):
        parse(body.encode(), NOW)


def test_the_fullest_report_is_taken() -> None:
    entry = f'{{"success": 5, "failure": 5, "slow": 10, "at": {NOW}}}'
    told = parse(f'{{"outcomes": [{", ".join([entry] * MAX_ENTRIES)}], "load": 3}}'.encode(), NOW)
    assert len(told.calls) == MAX_ENTRIES


def test_times_may_be_written_or_counted_and_never_lie_ahead() -> None:
    stamps = ['"2026-09-21T14:13:10+00:00"', str(NOW - 10), str(NOW + 30)]
    body = ", ".join(f'{{"success": 1, "at": {stamp}}}' for stamp in stamps)
    told = parse(f'{{"outcomes": [{body}]}}'.encode(), NOW)
    assert [NOW - each.at for each in told.calls] == [10.0, 10.0, 0.0]


def test_an_entry_without_a_time_is_of_now(now: Any) -> None:
    instant = (now + timedelta(seconds=0)).timestamp()
    assert parse(b'{"outcomes": [{"success": 1}]}', instant).calls[0].at == instant


def test_a_node_of_a_pool_that_cannot_be_decided_is_not_said_to_be_gone(node: Node, token: Token) -> None:
    NodeState.objects.exclude(node=node).update(health="so-so")
    answer = send(node, {"outcomes": [{"failure": 1}]}, token("outcomes"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert answer.json()["error"].startswith("not counted, report again later: ")


def test_what_was_late_is_said_with_the_reason(node: Node, token: Token) -> None:
    bearer, old = token("outcomes"), timezone.now().timestamp() - 90
    answer = send(node, {"outcomes": [{"success": 3, "at": old}, {"success": 4}]}, bearer).json()
    assert (answer["counted"], answer["late"]) == (4, [{"calls": 3, "why": "ended over a minute ago"}])
    opened = send(node, {"outcomes": [{"success": 1, "failure": 9}]}, bearer).json()
    left = 10 - opened["counted"]
    assert (opened["breaker"], opened["late"]) == ("open", [{"calls": left, "why": "the breaker is open"}])
    assert send(node, {"outcomes": [{"failure": 2}]}, bearer).json()["late"] == [{"calls": 2, "why": "the breaker is open"}]


def test_calls_before_the_last_change_of_state_are_late(node: Node, token: Token) -> None:
    NodeState.objects.filter(node=node).update(breaker_last_change=timezone.now() - timedelta(seconds=10))
    answer = send(node, {"outcomes": [{"failure": 7, "at": timezone.now().timestamp() - 20}]}, token("outcomes")).json()
    assert answer["late"] == [{"calls": 7, "why": "ended before the breaker's last change of state"}]
    assert answer["breaker"] == "closed"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\u00e9", "tab\tbed"])
def test_a_key_that_is_none_is_refused_and_nothing_counted(node: Node, token: Token, key: str) -> None:
    before = NodeState.objects.get(node=node).version
    answer = send(node, {"load": 1}, token("outcomes"), key=key)
    assert (answer.status_code, answer.json()) == (400, {"error": "an Idempotency-Key is 1 to 255 visible ASCII characters"})
    assert NodeState.objects.get(node=node).version == before


def test_what_is_refused_leaves_its_key_free(node: Node, token: Token) -> None:
    bearer = token("outcomes")
    assert send(node, {"outcomes": [{"success": 0}]}, bearer, key="k").status_code == 400
    assert send(node, {"outcomes": [{"success": 1}]}, bearer, key="k").json()["repeated"] is False
    assert send(node, {"outcomes": [{"success": 1}]}, bearer, key="k").json()["repeated"] is True


def test_a_revoked_token_reports_for_a_second_at_the_most(node: Node, token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = token("outcomes")
    assert send(node, {"load": 1}, bearer).status_code == 202
    ApiToken.objects.update(revoked_at=timezone.now())
    monkeypatch.setattr(time, "monotonic", partial(ahead, time.monotonic, RECENT))
    assert send(node, {"load": 1}, bearer).status_code == 401


def ahead(clock: Callable[[], float], seconds: float) -> float:
    return clock() + seconds
