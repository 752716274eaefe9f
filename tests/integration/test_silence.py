"""Silence is an alarm: what nobody watches is told of, once and by the widest scope, and its end too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, Notification
from alerts.services import routing
from failover_console import silence_watch
from failover_console.lifespan import lifespan
from nodes import operations
from nodes.engine.enums import AdminState
from nodes.ledger import advance, silence_sweep
from nodes.ledger.clock import database_now
from nodes.ledger.connections import connect
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Row
from nodes.ledger.silence import tell_silence
from nodes.ledger.silence_sweep import SilenceSweep
from nodes.models import Event, FailoverPolicy, FleetState, Lease, Node, NodeState, Outbox, Pool, PoolState, Runner
from tests.alerts import history
from tests.integration.silences import Sweep, hear, later, let_pass, live, look, more_pools, told
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def watched(connection: psycopg.Connection[Row], pool: Pool) -> Pool:
    """All nodes passed just now, and their interval is the usual one."""
    FailoverPolicy.objects.update(interval=10.0)
    hear(connection, pool, "a", "b", "c")
    return pool


@pytest.fixture
def sweep(connection: psycopg.Connection[Row]) -> Sweep:
    """One look of a sweep that has run for long, or for so many seconds."""
    return partial(look, connection)


# The fleet ------------------------------------------------------------------------------------------------------------


def test_a_watched_fleet_is_no_news(watched: Pool, sweep: Sweep) -> None:
    live()
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
    assert (event.severity, event.message[:29]) == ("critical", "No check had a result for 61 ")
    assert event.message.endswith("3 of 3 nodes are not watched: no check runner lives")
    hear(connection, watched, "a")
    assert not sweep()  # most are silent still
    hear(connection, watched, "a", "b", "c")
    assert not sweep()
    later(10.5)
    assert not sweep()  # one verdict is not watching
    hear(connection, watched, "a", "b")
    assert [sweep(), sweep()] == [True, False]
    assert told() == [("checks_missing", None), ("checks_resumed", None)]


def test_nodes_that_are_asked_rarely_are_not_missed_before_they_are_due(watched: Pool, sweep: Sweep) -> None:
    FailoverPolicy.objects.update(interval=300.0)
    NodeState.objects.update(due_interval=300.0)
    let_pass(250)
    assert not sweep()


def test_what_nobody_should_ask_is_not_missed(watched: Pool, sweep: Sweep) -> None:
    let_pass(500)
    live()
    Node.objects.filter(name="a").update(removed_at=database_now())
    NodeState.objects.filter(node__name="b").update(admin_state="maintenance")
    NodeState.objects.filter(node__name="c").update(admin_state="disabled")
    assert not sweep()


def test_a_check_runner_that_has_just_begun_is_given_time(watched: Pool, sweep: Sweep) -> None:
    let_pass(500)
    assert not sweep(steady=15)
    live(seconds=15)
    assert not sweep(steady=15)
    Runner.objects.update(started_at=database_now() - timedelta(seconds=25))
    assert sweep(steady=15)


def test_a_sweep_that_has_just_begun_or_was_away_says_nothing(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(500)
    live()
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


def test_runners_that_begin_again_and_again_are_silence_too(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(500)
    boot = 1000.0
    sweep = SilenceSweep(lambda: boot, lambda: boot)
    answers = []
    for _ in range(31):
        boot += 1.0
        live(seconds=5)
        answers.append(sweep.each_second(connection))
    assert answers == [False] * 24 + [True] + [False] * 6


def test_of_two_sweeps_that_see_the_same_one_tells(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(61)
    FleetState.objects.get_or_create(pk=1)
    answers: list[bool] = []

    def look() -> None:
        with connect("second sweep") as own:
            answers.append(tell_silence(own, patient=False))

    both = [threading.Thread(target=look) for _ in range(2)]
    with connect("keeper") as keeper, keeper.transaction(), keeper.cursor() as cursor:
        lock_fleet(cursor, exclusive=True)
        for each in both:
            each.start()
        waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'second sweep' AND wait_event_type = 'Lock'"
        eventually(lambda: (connection.execute(waiting).fetchone() or {})["n"] == 2, 2.0, "both wait for the fleet's row")
    for each in both:
        each.join()
    assert (sorted(answers), told()) == ([False, True], [("checks_missing", None)])


# Pools and nodes --------------------------------------------------------------------------------------------------------


def test_a_pool_most_of_whose_nodes_are_stale_is_told_by_itself(
    connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep
) -> None:
    live()
    let_pass(45, node__name__in="ab")
    assert [sweep(), sweep()] == [True, False]
    event = Event.objects.get(type="checks_missing")
    assert (event.severity, event.pool, event.node) == ("critical", watched, None)
    assert event.message == "Nobody watches api: no check of 2 of its 3 nodes had a result for too long: no runner asks"
    hear(connection, watched, "a", "b", "c")
    assert not sweep()
    later(10.5)
    hear(connection, watched, "a", "b", "c")
    assert [sweep(), sweep()] == [True, False]
    assert told() == [("checks_missing", "api"), ("checks_resumed", "api")]


def test_a_stale_node_is_listed_and_another_joins_without_a_page(
    connection: psycopg.Connection[Row], watched: Pool, sweep: Sweep
) -> None:
    live()
    chat = history.slack()
    more = [Node.objects.create(pool=watched, name=name, address="127.0.0.1") for name in "de"]
    operations.configuration_saved(watched, actor="setup", before={}, after={})
    hear(connection, watched, "a", "b", "c", "d", "e")
    let_pass(45, node__name="a")
    assert [sweep(), sweep()] == [True, False]
    let_pass(45, node=more[0])
    assert [sweep(), sweep()] == [True, False]
    listed = Event.objects.filter(type="node_stale").order_by("pk")
    assert [(each.pool, each.node, each.severity, len(each.detail["nodes"])) for each in listed] == [
        (watched, None, "warning", 1),
        (watched, None, "warning", 2),
    ]
    routing.route(database_now())
    assert Notification.objects.filter(destination=chat).count() == 1
    hear(connection, watched, *"abcde")
    assert not sweep()
    later(10.5)
    hear(connection, watched, *"abcde")
    assert sweep()
    routing.route(database_now())
    assert [each.action for each in Notification.objects.order_by("pk")] == ["trigger", "resolve"]


def test_a_pool_step_stores_that_a_node_is_stale_and_tells_nobody(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(45, node__name="a")
    with connection.transaction(), connection.cursor() as cursor:
        advance(cursor, watched.pk)
    assert list(NodeState.objects.filter(stale=True).values_list("node__name", flat=True)) == ["a"]
    assert told() == []


def test_a_hundred_pools_at_once_are_one_message_and_thirty_of_them_thirty(watched: Pool, sweep: Sweep) -> None:
    live()
    pools = more_pools(99)
    chat = history.slack()
    Outbox.objects.all().delete()
    let_pass(61)
    assert sweep()
    routing.route(database_now())
    assert Notification.objects.filter(destination=chat).count() == 1
    FleetState.objects.update(missing_told=False)
    let_pass(-61)
    let_pass(45, node__pool__in=pools[:30])
    assert sweep()
    assert not sweep()
    routing.route(database_now())
    assert Notification.objects.filter(destination=chat).count() == 31


def test_the_fleets_silence_takes_in_what_was_told_before(watched: Pool, sweep: Sweep) -> None:
    live()
    [other] = more_pools(1, nodes=3)
    history.slack()
    let_pass(45, node__name="a")
    let_pass(45, node__pool=other)
    assert sweep()
    let_pass(100)
    assert sweep()
    assert not sweep()
    assert told() == [
        ("node_stale", "api"),
        ("checks_missing", "pool-0"),
        ("checks_missing", None),
        ("node_stale_ended", "api"),
        ("checks_resumed", "pool-0"),
    ]
    routing.route(database_now())
    assert Notification.objects.count() == 5
    assert list(Alert.objects.filter(resolved_at=None).values_list("subject", flat=True)) == ["fleet/checks_missing"]


def _remove_node(pool: Pool) -> None:
    operations.remove_node(pool.nodes.get(name="a").pk, actor="ada")


def _disable(pool: Pool) -> None:
    operations.set_admin_state(pool.nodes.get(name="a").pk, AdminState.DISABLED, actor="ada")


def _maintain(pool: Pool) -> None:
    operations.set_admin_state(pool.nodes.get(name="a").pk, AdminState.MAINTENANCE, actor="ada")


def _remove_pool(pool: Pool) -> None:
    operations.remove_pool(pool.pk, actor="ada")


@pytest.mark.parametrize("way_out", [_remove_node, _disable, _maintain, _remove_pool])
def test_a_node_that_is_to_be_watched_no_more_ends_its_silence(
    way_out: Callable[[Pool], None], watched: Pool, sweep: Sweep
) -> None:
    live()
    more_pools(1)
    let_pass(45, node__name="a")
    assert sweep()
    way_out(watched)
    assert [sweep(), sweep()] == [True, False]
    assert [each for each, _ in told()] == ["node_stale", "node_stale_ended"]


def test_a_pool_that_is_removed_ends_its_silence(watched: Pool, sweep: Sweep) -> None:
    live()
    more_pools(1)
    let_pass(45, node__pool=watched)
    assert sweep()
    operations.remove_pool(watched.pk, actor="ada")
    assert [sweep(), sweep()] == [True, False]
    assert [each for each, _ in told()] == ["checks_missing", "checks_resumed"]


# The web, and watchers outside --------------------------------------------------------------------------------------------


def test_a_web_process_sweeps_once_no_alert_runner_lives(connection: psycopg.Connection[Row], watched: Pool) -> None:
    let_pass(61)
    boot = 1000.0
    sweep = SilenceSweep(lambda: boot, lambda: boot)
    live("alerts", "elsewhere")
    for _ in range(30):
        boot += 1.0
        assert not silence_watch.look(connection, sweep)
    Lease.objects.all().delete()
    assert silence_watch.look(connection, sweep)  # it has been awake all the while
    assert told() == [("checks_missing", None)]


def test_a_web_process_sweeps_from_its_start_to_its_end(
    connection: psycopg.Connection[Row], watched: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence_sweep, "STEADY", 0.0)
    monkeypatch.setattr(silence_sweep, "PATIENCE", 0.0)
    monkeypatch.setattr(silence_watch, "EVERY", 0.01)
    let_pass(61)

    async def serve() -> None:
        inbox, said = asyncio.Queue[dict[str, Any]](), asyncio.Queue[Any]()
        inbox.put_nowait({"type": "lifespan.startup"})
        serving = asyncio.create_task(lifespan({}, inbox.get, said.put))
        missing = "SELECT 1 FROM nodes_event WHERE type = 'checks_missing'"
        await asyncio.to_thread(eventually, lambda: connection.execute(missing).fetchone(), 5.0, "the web tells")
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await serving

    asyncio.run(serve())
    eventually(lambda: "silence" not in {each.name for each in threading.enumerate()}, 5.0, "the watch ends")


def test_a_watcher_outside_hears_of_it(watched: Pool, client: Client) -> None:
    answer = client.get("/health/checks")
    assert (answer.status_code, answer.json()["troubles"]) == (503, ["No check runner lives."])
    live()
    answer = client.get("/health/checks")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "troubles": []})
    let_pass(61)
    answer = client.get("/health/checks")
    assert answer.status_code == 503
    assert answer.json()["troubles"][0].startswith("No check had a result for 6")


def test_a_watcher_outside_hears_of_alerts_that_do_not_leave(watched: Pool, client: Client) -> None:
    Outbox.objects.all().delete()
    assert client.get("/health/alerts").json()["troubles"] == ["No alert runner lives."]
    live("alerts")
    assert client.get("/health/alerts").status_code == 200
    history.pagerduty()
    history.fail(history.open_incident(history.make_pool("web")))
    Event.objects.update(at=database_now() - timedelta(seconds=61))
    assert client.get("/health/alerts").json()["troubles"] == ["An event has waited for over 60 s to be looked at."]
    routing.route(database_now())
    assert client.get("/health/alerts").status_code == 200
    Notification.objects.update(created_at=database_now() - timedelta(seconds=121))
    assert client.get("/health/alerts").json()["troubles"] == ["A critical message has waited for over 120 s."]


def test_a_pool_that_cannot_be_decided_is_told_as_that_and_not_as_silent(watched: Pool, sweep: Sweep) -> None:
    live()
    PoolState.objects.filter(pool=watched).update(undecided_since=timezone.now(), undecided_tries=1)
    let_pass(45, node__name__in="ab")
    assert not sweep()
    PoolState.objects.filter(pool=watched).update(undecided_since=None)
    assert sweep()
