"""A term of the alerts' runner: several destinations at once, one runner a host, a quick stop, a successor."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import psycopg
import pytest
from django.db import connection

from alerts.delivery import Reply
from alerts.models import Notification
from alerts.services import runner
from nodes.ledger import lease_keeper, leases
from nodes.ledger.connections import connect
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Row
from nodes.models import Lease, Runner
from tests.alerts import history
from tests.alerts.history import fail, make_pool, open_incident

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

PATIENCE = 20  # s after which a test gives up
SLOT = Slot("alerts", socket.gethostname())


class Served:
    """A runner in a thread, posting to two receivers in memory: the chat hangs until it may answer."""

    def __init__(self) -> None:
        self.stop, self.chat_may_answer = threading.Event(), threading.Event()
        self.chat_asked, self.paged = threading.Event(), threading.Event()
        self.answer = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answer = runner.serve(self.stop.is_set, self.post)
        finally:
            connection.close()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        if "slack" in url:
            self.chat_asked.set()
            self.chat_may_answer.wait(PATIENCE)
            return Reply(200, {}, b"ok")
        self.paged.set()
        return Reply(202, {}, b"")

    def ended(self) -> bool:
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()


@pytest.fixture
def serving() -> Iterator[Callable[[], Served]]:
    begun: list[Served] = []

    def begin() -> Served:
        begun.append(Served())
        return begun[-1]

    yield begin
    for each in begun:
        each.stop.set()
        each.chat_may_answer.set()
        assert each.ended()


def until(holds: Callable[[], bool]) -> bool:
    """Wait for something that another thread brings about in the database."""
    patience = threading.Event()
    return any(holds() or patience.wait(0.05) for _ in range(PATIENCE * 20)) or holds()


def hold_slot(other: psycopg.Connection[Row]) -> None:
    """Take the slot, as soon as it is offered."""
    assert until(lambda: leases.take(other, SLOT) is not None)


def test_a_destination_that_hangs_delays_no_other_and_no_shutdown(serving: Callable[[], Served]) -> None:
    history.slack()
    history.pagerduty()
    fail(open_incident(make_pool()))
    served = serving()
    assert served.chat_asked.wait(PATIENCE)
    assert served.paged.wait(PATIENCE)
    fail(open_incident(make_pool("db")))
    assert until(lambda: Notification.objects.filter(destination__kind="pagerduty", status="delivered").count() == 2)
    assert Runner.objects.filter(kind="alerts", slot=0).exists()
    served.stop.set()
    assert served.ended()
    assert Notification.objects.filter(destination__kind="slack", status="leased").count() == 1


def test_a_slot_that_is_taken_is_left_at_once(serving: Callable[[], Served]) -> None:
    with connect("test") as other:
        hold_slot(other)
        served = serving()
        assert served.ended()
        assert served.answer == "the slot is taken"


def test_a_term_goes_on_until_a_successor_has_the_slot(serving: Callable[[], Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_keeper, "TERM", (0.0, 0.0))
    history.pagerduty()
    served = serving()
    assert until(lambda: Runner.objects.filter(kind="alerts").exists())
    with connect("test") as other:
        hold_slot(other)  # waits until it is offered
        assert served.ended()
    assert served.answer == "served"


def test_with_the_broker_away_alerts_leave_after_the_term(serving: Callable[[], Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_keeper, "TERM", (0.0, 0.0))
    history.pagerduty()
    served = serving()
    assert until(Lease.objects.filter(kind="alerts", offered=True).exists)  # nobody takes it
    fail(open_incident(make_pool()))
    assert served.paged.wait(PATIENCE)


def test_a_lost_database_session_is_begun_again(serving: Callable[[], Served]) -> None:
    history.pagerduty()
    served = serving()
    assert until(lambda: Runner.objects.filter(kind="alerts").exists())
    with connect("test") as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'failover alerts slot'")
    fail(open_incident(make_pool()))
    assert served.paged.wait(PATIENCE)
    assert until(lambda: Notification.objects.filter(status="delivered").exists())
