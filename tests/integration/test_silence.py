"""Silence is an alarm: a fleet that nobody watches is told of, once, by the default rules, and to a watcher outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.db.models import F
from django.test import Client

from alerts.models import Alert, Notification
from alerts.services import dispatch, routing, silence
from alerts.services.silence import SilenceSweep
from nodes.ledger import leases
from nodes.ledger.clock import database_now
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Row
from nodes.models import Event, FailoverPolicy, Lease, Node, NodeState, Outbox, Pool, Runner
from tests.alerts import history
from tests.integration.checking import see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Sweep = Callable[[], bool]


@pytest.fixture
def watched(connection: psycopg.Connection[Row], pool: Pool) -> Pool:
    """All nodes passed just now, and their interval is the usual one."""
    FailoverPolicy.objects.update(interval=10.0)
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp())
    Lease.objects.all().delete()
    return pool


@pytest.fixture
def sweep(connection: psycopg.Connection[Row], monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """One look of a sweep that has run for long."""
    monkeypatch.setattr(silence, "STEADY", 0.0)
    return lambda: SilenceSweep().each_second(connection)


def let_pass(seconds: float, **only: object) -> None:
    """Age all verdicts, as if nobody had asked for so long."""
    NodeState.objects.filter(**only).update(observed_at=F("observed_at") - timedelta(seconds=seconds))


def told() -> list[tuple[str, str]]:
    return list(Event.objects.filter(type__in=("checks_missing", "checks_resumed")).order_by("pk").values_list("type", "severity"))


def test_a_watched_fleet_is_no_news(watched: Pool, sweep: Sweep) -> None:
    assert not sweep()
    let_pass(40)  # stale, and not yet for a minute
    assert not sweep()
    assert told() == []


def test_a_fleet_that_nobody_asks_is_told_once_and_its_end_too(
    connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep
) -> None:
    let_pass(61)
    assert [sweep(), sweep()] == [True, False]
    event = Event.objects.get(type="checks_missing")
    assert event.message.startswith("No check had a result for 6")
    assert event.message.endswith("3 of 3 nodes are not watched: no check runner lives")
    see(connection, watched, {"a": "pass"}, database_now().timestamp())
    assert not sweep()  # most are silent still
    see(connection, watched, {"a": "pass", "b": "pass"}, database_now().timestamp())
    assert [sweep(), sweep()] == [True, False]
    assert told() == [("checks_missing", "critical"), ("checks_resumed", "info")]


def test_checks_that_come_to_nothing_are_silence_and_say_why(
    connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep
) -> None:
    leases.take(connection, Slot("checks", "elsewhere"))
    NodeState.objects.update(last_verdict="unknown", last_message="the resolver does not answer", checked_at=database_now())
    let_pass(61)
    assert sweep()
    assert Event.objects.get(type="checks_missing").message.endswith("the last check said: the resolver does not answer")


def test_one_verdict_of_a_minute_ago_is_watching(watched: Pool, sweep: Sweep) -> None:
    let_pass(500)
    let_pass(-470, node__name="a")
    assert not sweep()


def test_nodes_that_are_asked_rarely_are_not_missed_before_they_are_due(watched: Pool, sweep: Sweep) -> None:
    FailoverPolicy.objects.update(interval=300.0)
    NodeState.objects.update(due_interval=300.0)
    let_pass(250)
    assert not sweep()


def test_what_nobody_should_ask_is_not_missed(watched: Pool, sweep: Sweep) -> None:
    let_pass(500)
    Node.objects.filter(name="a").update(removed_at=database_now())
    NodeState.objects.filter(node__name="b").update(admin_state="maintenance")
    NodeState.objects.filter(node__name="c").update(admin_state="disabled")
    assert not sweep()


def test_a_check_runner_that_has_just_begun_is_given_time(connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep) -> None:
    let_pass(500)
    leases.take(connection, Slot("checks", "one"))
    now = database_now()
    Runner.objects.create(host="one", slot=0, kind="checks", pid=1, started_at=now - timedelta(seconds=15), seen_at=now)
    assert not sweep()
    Runner.objects.update(started_at=now - timedelta(seconds=25))
    assert sweep()


def test_a_sweep_that_has_just_begun_or_was_away_says_nothing(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(500)
    boot, wall = 1000.0, 5000.0
    sweep = SilenceSweep(lambda: boot, lambda: wall)

    def spoke(*seconds: float) -> list[bool]:
        """Whether it spoke at each look, so many seconds after the last by both clocks."""
        nonlocal boot, wall
        answers = []
        for each in seconds:
            boot, wall = boot + each, wall + each
            answers.append(sweep.each_second(connection))
        return answers

    assert not any(spoke(*[1.0] * 9))
    assert not any(spoke(8.0, *[1.0] * 9))  # it stood still
    wall += 60.0  # somebody set the clock
    assert not any(spoke(*[1.0] * 10))
    assert spoke(1.0) == [True]


def test_the_first_rules_bring_it_to_the_pager_and_resolve_it(
    connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep
) -> None:
    Outbox.objects.all().delete()
    pager, receiver = history.pagerduty(), history.Receiver()
    let_pass(61)
    assert sweep()
    send(receiver)
    see(connection, watched, {"a": "pass", "b": "pass", "c": "pass"}, database_now().timestamp())
    assert sweep()
    send(receiver)
    assert receiver.actions == ["trigger", "resolve"]
    assert Alert.objects.get(destination=pager).resolved_at is not None
    assert not Notification.objects.exclude(status="delivered").exists()


def send(receiver: history.Receiver) -> None:
    now = database_now()
    routing.route(now)
    for later in (0, 2):
        at = now + timedelta(seconds=later)
        for leased in dispatch.claim(at, room=9, owner=history.new_id()):
            dispatch.record(leased, dispatch.send_leased(leased, receiver, at.timestamp()), began=at, duration=0.1, now=at)


def test_a_watcher_outside_hears_of_it(connection: psycopg.Connection[Row], watched: Pool, client: Client) -> None:
    answer = client.get("/health/checks")
    assert (answer.status_code, answer.json()["troubles"]) == (503, ["No check runner lives."])
    leases.take(connection, Slot("checks", "one"))
    answer = client.get("/health/checks")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "troubles": []})
    let_pass(61)
    answer = client.get("/health/checks")
    assert answer.status_code == 503
    assert answer.json()["troubles"][0].startswith("No check had a result for 6")


def test_a_watcher_outside_hears_of_alerts_that_do_not_leave(
    connection: psycopg.Connection[Row], watched: Pool, client: Client
) -> None:
    Outbox.objects.all().delete()
    assert client.get("/health/alerts").json()["troubles"] == ["No alert runner lives."]
    leases.take(connection, Slot("alerts", "one"))
    assert client.get("/health/alerts").status_code == 200
    history.pagerduty()
    history.fail(history.open_incident(history.make_pool("web")))
    Event.objects.update(at=database_now() - timedelta(seconds=61))
    assert client.get("/health/alerts").json()["troubles"] == ["An event has waited for over 60 s to be looked at."]
    routing.route(database_now())
    assert client.get("/health/alerts").status_code == 200
    Notification.objects.update(created_at=database_now() - timedelta(seconds=121))
    assert client.get("/health/alerts").json()["troubles"] == ["A critical message has waited for over 120 s."]
