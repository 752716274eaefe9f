"""The dead man's switch: called each minute while checks and alerts work, by one host, and never in their way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from django.db import connection as django_connection
from django.db.models import F
from django.test import Client

from alerts.models import DeadMansSwitch, Destination, Notification
from alerts.services import routing, runner
from alerts.services.dead_mans_switch import Caller
from nodes.engine.enums import EventType
from nodes.ledger.clock import database_now
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import FailoverPolicy, Lease, NodeState, Outbox, Pool
from tests.alerts import history
from tests.alerts.receivers import hangs, receiver
from tests.integration.silences import hear, let_pass, live
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

SWITCH = "DEAD_MANS_SWITCH_URL"


class Watcher(ThreadingHTTPServer):
    """A receiver on loopback: which paths were asked, and what it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def watcher(settings: object) -> Iterator[Watcher]:
    with Watcher() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        settings.DEAD_MANS_SWITCH_URL = f"{server.address}/ping/s3cret"  # type: ignore[attr-defined]  # pytest-django's
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def healthy(connection: psycopg.Connection[Row], pool: Pool) -> Pool:
    """All nodes passed just now, and no event waits."""
    FailoverPolicy.objects.update(interval=10.0)
    hear(connection, pool, "a", "b", "c")
    live()
    Outbox.objects.all().delete()
    return pool


def turn(host: str = "one") -> None:
    """A full turn of this host's alert runner, and the end of the call that it made."""
    caller = Caller(host)
    caller.after_full_turn()
    caller.finish(9.0)


def minutes_pass(seconds: float) -> None:
    span = timedelta(seconds=seconds)
    DeadMansSwitch.objects.update(last_success_at=F("last_success_at") - span, last_error_at=F("last_error_at") - span)


def test_it_is_called_a_minute_after_the_stored_success(healthy: Pool, watcher: Watcher) -> None:
    turn()
    turn()  # begun anew
    turn("two")
    minutes_pass(59)
    turn()
    assert watcher.asked == ["/ping/s3cret"]
    minutes_pass(1)
    turn("two")
    turn()
    assert len(watcher.asked) == 2


def test_nobody_is_called_when_no_switch_is_set(healthy: Pool, settings: object) -> None:
    turn()
    assert not DeadMansSwitch.objects.exists()


def test_of_two_hosts_that_see_it_due_one_calls(healthy: Pool, watcher: Watcher) -> None:
    callers = [Caller("one"), Caller("two")]
    for caller in callers:
        caller.after_full_turn()
    for caller in callers:
        caller.finish(9.0)
    assert len(watcher.asked) == 1


def test_of_two_hosts_that_ask_at_once_one_calls(connection: psycopg.Connection[Row], healthy: Pool, watcher: Watcher) -> None:
    DeadMansSwitch.objects.create(pk=1)

    def call(host: str) -> None:
        try:
            turn(host)
        finally:
            django_connection.close()

    both = [threading.Thread(target=call, args=(host,)) for host in ("one", "two")]
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO alerts_deadmansswitch%'"
    )
    with connect("keeper") as keeper, keeper.transaction():
        keeper.execute("SELECT 1 FROM alerts_deadmansswitch FOR UPDATE")
        for each in both:
            each.start()
        eventually(lambda: (connection.execute(waiting).fetchone() or {})["n"] == 2, 2.0, "both wait for the row")
    for each in both:
        each.join()
    assert len(watcher.asked) == 1


def test_a_call_whose_process_died_is_made_again_in_time(healthy: Pool, watcher: Watcher) -> None:
    DeadMansSwitch.objects.create(pk=1, calling_until=database_now() + timedelta(seconds=5))
    turn()
    assert watcher.asked == []
    DeadMansSwitch.objects.update(calling_until=database_now())
    turn()
    assert len(watcher.asked) == 1


def test_after_a_failure_another_host_comes_first_and_the_same_one_in_time(healthy: Pool, watcher: Watcher) -> None:
    watcher.status = 500
    turn("one")
    row = DeadMansSwitch.objects.get()
    assert (row.last_success_at, row.last_error, row.failed_host) == (None, "it answered 500", "one")
    minutes_pass(3)
    turn("one")
    assert len(watcher.asked) == 1
    turn("two")
    assert len(watcher.asked) == 2
    minutes_pass(3)
    turn("two")
    watcher.status = 200
    turn("one")
    assert len(watcher.asked) == 3
    row.refresh_from_db()
    assert (row.last_success_at is not None, row.failed_host) == (True, "")


def test_with_one_host_it_tries_again_by_itself(healthy: Pool, watcher: Watcher) -> None:
    watcher.status = 500
    turn()
    minutes_pass(10)
    turn()
    assert len(watcher.asked) == 2


def test_an_error_gives_no_secret_away(healthy: Pool, watcher: Watcher) -> None:
    watcher.shutdown()
    watcher.server_close()
    turn()
    assert DeadMansSwitch.objects.get().last_error == "127.0.0.1 cannot be connected to"


def test_a_clock_that_was_set_back_delays_no_call(healthy: Pool, watcher: Watcher) -> None:
    turn()
    minutes_pass(-3600)
    turn()
    assert len(watcher.asked) == 2


def test_a_receiver_that_hangs_holds_nobody_up(healthy: Pool, settings: object) -> None:
    with receiver(hangs) as address:
        settings.DEAD_MANS_SWITCH_URL = address  # type: ignore[attr-defined]  # pytest-django's
        caller = Caller("one")
        caller.after_full_turn()
        for _ in range(20):
            caller.after_full_turn()
        assert DeadMansSwitch.objects.get().last_error == ""  # and we are here already
    caller.finish(9.0)
    assert DeadMansSwitch.objects.get().last_error.startswith("127.0.0.1 ")


# When it is withheld --------------------------------------------------------------------------------------------------------


def test_it_is_withheld_while_a_check_is_overdue_without_a_verdict(healthy: Pool, watcher: Watcher) -> None:
    FailoverPolicy.objects.update(interval=300.0)
    NodeState.objects.update(due_interval=300.0, due_at=database_now() - timedelta(seconds=55))
    NodeState.objects.filter(node__name="a").update(due_at=database_now() - timedelta(seconds=61))
    let_pass(200)
    turn()
    assert watcher.asked == []
    NodeState.objects.filter(node__name="a").update(due_at=database_now() - timedelta(seconds=55))
    turn()
    assert len(watcher.asked) == 1


def test_one_verdict_in_the_last_minute_is_enough(healthy: Pool, watcher: Watcher) -> None:
    let_pass(70)
    NodeState.objects.update(due_at=database_now() - timedelta(seconds=61))
    let_pass(-30, node__name="b")
    turn()
    assert len(watcher.asked) == 1


def test_it_is_withheld_while_checks_come_to_nothing(healthy: Pool, watcher: Watcher) -> None:
    let_pass(61)
    NodeState.objects.update(due_at=database_now())
    turn()
    assert watcher.asked == []


def test_nodes_that_are_asked_rarely_withhold_nothing(healthy: Pool, watcher: Watcher) -> None:
    FailoverPolicy.objects.update(interval=300.0)
    NodeState.objects.update(due_interval=300.0, due_at=database_now() + timedelta(seconds=100))
    let_pass(200)
    turn()
    assert len(watcher.asked) == 1


def fail_a_node(seconds: float) -> None:
    """A node fails, and its pages have waited for so long."""
    history.fail(history.open_incident(history.make_pool("web")))
    routing.route(database_now())
    Notification.objects.update(created_at=database_now() - timedelta(seconds=seconds))


def begin_failing(name: str) -> None:
    """The destination accepts nothing, and that was told."""
    Destination.objects.filter(name=name).update(failing_since=database_now())


def test_it_is_withheld_while_a_critical_message_waits(healthy: Pool, watcher: Watcher) -> None:
    history.pagerduty()
    fail_a_node(121)
    turn()
    assert watcher.asked == []
    Notification.objects.update(created_at=database_now() - timedelta(seconds=110))
    turn()
    assert len(watcher.asked) == 1


@pytest.mark.parametrize(
    ("failing", "called"),
    [((), False), (("pager",), True), (("ops",), False), (("pager", "ops"), False)],
)
def test_a_failing_destination_withholds_nothing_while_another_takes_its_place(
    failing: tuple[str, ...], called: bool, healthy: Pool, watcher: Watcher
) -> None:
    history.pagerduty()
    history.slack()
    fail_a_node(121)
    for name in failing:
        begin_failing(name)
    if "ops" not in failing:
        Notification.objects.filter(destination__name="ops").update(status="delivered")
    turn()
    assert bool(watcher.asked) is called


def test_a_destination_that_no_critical_rule_uses_takes_no_place(healthy: Pool, watcher: Watcher) -> None:
    history.pagerduty()
    Destination.objects.create(name="hook", kind="webhook", address="https://hook.test/", key=history.SIGNING_SECRET)
    fail_a_node(121)
    begin_failing("pager")
    turn()
    assert watcher.asked == []


# In the runner ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def serving(healthy: Pool) -> Iterator[Callable[[], threading.Event]]:
    """Begins an alert runner; the event stops its worker."""
    begun: list[tuple[threading.Event, threading.Thread]] = []

    def serve(stop: threading.Event) -> None:
        try:
            runner.serve(stop.is_set, history.Receiver())
        finally:
            django_connection.close()

    def begin() -> threading.Event:
        stop = threading.Event()
        begun.append((stop, threading.Thread(target=serve, args=(stop,))))
        begun[-1][1].start()
        return stop

    yield begin
    for stop, thread in begun:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_a_runner_calls_it_only_once_it_has_routed_leased_and_recorded(
    connection: psycopg.Connection[Row], serving: Callable[[], threading.Event], watcher: Watcher
) -> None:
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%nodes_outbox%'"
    history.add_event(EventType.CHECKS_LATE)
    with connect("keeper") as keeper:
        with keeper.transaction():
            keeper.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            keeper.execute("LOCK TABLE nodes_outbox IN ACCESS EXCLUSIVE MODE")
            serving()
            eventually(lambda: connection.execute(waits).fetchone(), 5.0, "the runner cannot route")
            assert watcher.asked == []
        eventually(lambda: watcher.asked, 8.0, "the switch is called")
    eventually(lambda: DeadMansSwitch.objects.filter(last_success_at__isnull=False).exists(), 5.0, "the success is stored")


def test_a_planned_stop_says_so(serving: Callable[[], threading.Event], watcher: Watcher, settings: object) -> None:
    settings.DEAD_MANS_SWITCH_STOP_URL = f"{watcher.address}/stopped"  # type: ignore[attr-defined]  # pytest-django's
    stop = serving()
    eventually(lambda: watcher.asked, 8.0, "the switch is called")
    stop.set()
    eventually(lambda: watcher.asked == ["/ping/s3cret", "/stopped"], 8.0, "the stop is told")


def test_a_host_that_stops_beside_another_says_nothing(healthy: Pool, watcher: Watcher, settings: object) -> None:
    settings.DEAD_MANS_SWITCH_STOP_URL = f"{watcher.address}/stopped"  # type: ignore[attr-defined]  # pytest-django's
    live("alerts", "one")
    live("alerts", "two")
    caller = Caller("one")
    caller.say_stopped()
    caller.finish(5.0)
    assert watcher.asked == []
    Lease.objects.filter(host="two").delete()
    caller.say_stopped()
    caller.finish(5.0)
    assert watcher.asked == ["/stopped"]


# Where it is shown --------------------------------------------------------------------------------------------------------------


def test_a_watcher_outside_and_the_page_see_the_last_calls(
    healthy: Pool, watcher: Watcher, client: Client, admin_client: Client
) -> None:
    live("alerts", socket.gethostname())
    assert client.get("/health/alerts").json()["dead_mans_switch"] == {"last_success_at": None, "last_error_at": None}
    watcher.status = 503
    turn()
    shown = client.get("/health/alerts").json()
    assert (shown["status"], set(shown["dead_mans_switch"])) == ("ok", {"last_success_at", "last_error_at"})
    assert shown["dead_mans_switch"]["last_error_at"] is not None
    page = admin_client.get("/alerts/destinations/").content.decode()
    assert "it answered 503" in page


def test_without_a_switch_nothing_is_shown(healthy: Pool, client: Client, admin_client: Client) -> None:
    assert "dead_mans_switch" not in client.get("/health/alerts").json()
    assert "Dead man" not in admin_client.get("/alerts/destinations/").content.decode()
