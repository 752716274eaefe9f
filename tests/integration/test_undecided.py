"""A pool that cannot be decided: told once, tried again at its interval, ended by its next decided step; the other pools go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import close_old_connections
from django.db.models import F

from alerts.models import Alert
from alerts.services import dispatch, outcomes, routing
from nodes import operations, runner
from nodes.ledger import pools_needing_attention
from nodes.ledger.clock import database_now
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Check, Event, FailoverPolicy, Node, NodeState, Outbox, Pool, PoolState
from tests.alerts import history
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Spoil = Callable[[], object]


def of_a(**columns: object) -> Spoil:
    return lambda: NodeState.objects.filter(node__name="a").update(**columns)


BAD: dict[str, Spoil] = {
    "strategy": lambda: Pool.objects.filter(slug="api").update(strategy="quantum"),
    "failback": lambda: FailoverPolicy.objects.filter(name="failover").update(failback="sometimes"),
    "admin state": of_a(admin_state="asleep"),
    "health": of_a(health="so-so"),
    "breaker mode": of_a(breaker_mode="telepathic"),
    "guard of a failure": of_a(failure={"cause": "health", "refused_by": "astrology", "receivers": []}),
    "shape of a failure": of_a(failure=["of", "another", "version"]),
    "shape of a window": of_a(breaker_window={"colour": "red"}),
    "an endless interval": lambda: FailoverPolicy.objects.filter(name="failover").update(interval=float("inf")),
    "an interval that is no number": lambda: FailoverPolicy.objects.filter(name="failover").update(interval=float("nan")),
}
MENDED: dict[str, Spoil] = {
    "strategy": lambda: Pool.objects.filter(slug="api").update(strategy="weighted"),
    "failback": lambda: FailoverPolicy.objects.filter(name="failover").update(failback="automatic"),
    "admin state": of_a(admin_state="enabled"),
    "health": of_a(health="unknown"),
    "breaker mode": of_a(breaker_mode="auto"),
    "guard of a failure": of_a(failure=None),
    "shape of a failure": of_a(failure=None),
    "shape of a window": of_a(breaker_window=[]),
    "an endless interval": lambda: FailoverPolicy.objects.filter(name="failover").update(interval=0.3),
    "an interval that is no number": lambda: FailoverPolicy.objects.filter(name="failover").update(interval=0.3),
}


@pytest.fixture
def other(pool: Pool) -> Pool:
    """A second pool whose nodes are asked as often and that shares no row with the first; nobody listens at any node."""
    FailoverPolicy.objects.update(interval=0.3, check_timeout=0.2)
    failover = FailoverPolicy.objects.create(name="other", interval=0.3, check_timeout=0.2)
    made = Pool.objects.create(
        name="web", slug="web", breaker_policy=BreakerPolicy.objects.create(name="other"), failover_policy=failover
    )
    Check.objects.create(node=Node.objects.create(pool=made, name="x", address="127.0.0.1", port=1))
    operations.configuration_saved(made, actor="setup", before={}, after={})
    Outbox.objects.all().delete()
    return made


@contextmanager
def checking() -> Iterator[None]:
    """A check runner at work."""
    stop = threading.Event()

    def work() -> None:
        runner.serve(stop.is_set)
        close_old_connections()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def state(pool: Pool) -> PoolState:
    return PoolState.objects.get(pool=pool)


def told(pool: Pool) -> list[tuple[str, str]]:
    found = Event.objects.filter(pool=pool, type__in=("pool_undecided", "pool_decided")).order_by("pk")
    return list(found.values_list("type", "severity"))


def let_pass(pool: Pool, seconds: float) -> None:
    """Date its trouble back, as if it had lasted so long."""
    PoolState.objects.filter(pool=pool).update(
        undecided_since=F("undecided_since") - timedelta(seconds=seconds),
        undecided_tried_at=F("undecided_tried_at") - timedelta(seconds=seconds),
    )


def tries(pool: Pool) -> int:
    """How often it was tried; its node b is due at once instead of a second or ten after the last try."""
    NodeState.objects.filter(node__name="b", owner=None).update(due_at=database_now())
    return state(pool).undecided_tries


@pytest.mark.parametrize("bad", BAD)
def test_it_is_told_after_three_tries_and_thirty_seconds_and_its_end_too(pool: Pool, other: Pool, bad: str) -> None:
    BAD[bad]()
    NodeState.objects.update(due_at=database_now())
    with checking():
        eventually(lambda: tries(pool) >= 3, 40, "three tries")
        assert told(pool) == []  # not for 30 s yet
        let_pass(pool, 30)
        eventually(lambda: tries(pool) and told(pool), 40, "it is told")
        eventually(lambda: tries(pool) >= 6, 40, "and tried again")
        assert told(pool) == [("pool_undecided", "critical")]
        eventually(lambda: NodeState.objects.get(node__name="x").checked_at, 20, "the other pool is watched")
        MENDED[bad]()
        eventually(lambda: not tries(pool), 40, "it is decided again")
    assert told(pool) == [("pool_undecided", "critical"), ("pool_decided", "info")]
    assert told(other) == []


def due_after_the_last_try(pool: Pool) -> list[timedelta]:
    """How long after the last try the pool and its node b are due."""
    found = state(pool)
    assert found.undecided_tried_at is not None
    instants = (found.wake_at, NodeState.objects.get(node__name="b").due_at)
    return [each - found.undecided_tried_at for each in instants if each is not None]


@pytest.mark.parametrize(("interval", "seconds"), [(0.3, 1), (7.0, 7), (90_000.0, 10), (float("inf"), 10), (float("nan"), 10)])
def test_it_is_due_again_at_its_interval_or_after_ten_seconds(pool: Pool, other: Pool, interval: float, seconds: float) -> None:
    BAD["health"]()
    FailoverPolicy.objects.filter(name="failover").update(interval=interval)
    NodeState.objects.filter(node__name__in=("a", "c")).update(admin_state="disabled")
    NodeState.objects.update(due_at=database_now())
    with checking():
        eventually(lambda: state(pool).undecided_tries >= 1, 20, "a try")
        eventually(lambda: due_after_the_last_try(pool) == [timedelta(seconds=seconds)] * 2, 20, "both are due at the interval")


def test_neither_a_runner_nor_the_log_spins(pool: Pool, other: Pool, caplog: pytest.LogCaptureFixture) -> None:
    FailoverPolicy.objects.filter(name="failover").update(interval=2.0, check_timeout=0.5)
    BAD["health"]()
    NodeState.objects.filter(node__name__in=("b", "c")).update(admin_state="disabled")  # of one node the tries can be counted
    PoolState.objects.update(wake_at="2020-01-01T00:00Z")
    NodeState.objects.update(due_at=database_now())
    with caplog.at_level(logging.WARNING), checking():
        eventually(lambda: state(pool).undecided_tries >= 1, 20, "a try")
        began = database_now()
        eventually(lambda: database_now() - began > timedelta(seconds=5), 20, "five seconds")
        tries = state(pool).undecided_tries
    assert tries <= 10  # its node's and its own, each every two seconds
    said = [record for record in caplog.records if "cannot be decided" in record.getMessage()]
    assert len(said) == 1
    assert said[0].exc_info


def test_it_is_named_again_each_minute_without_its_traceback(pool: Pool, other: Pool, caplog: pytest.LogCaptureFixture) -> None:
    BAD["health"]()
    NodeState.objects.update(due_at=database_now())
    with caplog.at_level(logging.WARNING), checking():
        eventually(lambda: state(pool).undecided_tries >= 1, 20, "a try")
        PoolState.objects.filter(pool=pool).update(undecided_since=F("undecided_since") - timedelta(seconds=59))
        began = database_now()
        eventually(lambda: database_now() - began > timedelta(seconds=3), 20, "the minute is over, and tried again")
    said = [bool(record.exc_info) for record in caplog.records if "cannot be decided" in record.getMessage()]
    assert said == [True, False]


def test_its_stale_nodes_make_it_due_no_sooner(connection: psycopg.Connection[Row], pool: Pool, other: Pool) -> None:
    later = database_now() + timedelta(seconds=60)
    PoolState.objects.update(wake_at=later, undecided_since=None)
    NodeState.objects.update(observed_at="2020-01-01T00:00Z", stale=False)
    with connection.cursor() as cursor:
        assert sorted(pools_needing_attention(cursor, sweep_stale=True)) == sorted([pool.pk, other.pk])
        PoolState.objects.filter(pool=pool).update(undecided_since=later)
        assert pools_needing_attention(cursor, sweep_stale=True) == [other.pk]


def test_a_removed_pool_asks_for_no_attention(connection: psycopg.Connection[Row], pool: Pool, other: Pool) -> None:
    PoolState.objects.update(wake_at="2020-01-01T00:00Z")
    Pool.objects.filter(pk=pool.pk).update(removed_at=database_now())
    with connection.cursor() as cursor:
        assert pools_needing_attention(cursor, sweep_stale=True) == [other.pk]


def test_the_first_rules_bring_it_to_the_pager_and_resolve_it(pool: Pool, other: Pool) -> None:
    pager, receiver = history.pagerduty(), history.Receiver()
    BAD["health"]()
    NodeState.objects.update(due_at=database_now())
    with checking():
        eventually(lambda: state(pool).undecided_tries >= 3, 40, "three tries")
        let_pass(pool, 30)
        eventually(lambda: told(pool), 40, "it is told")
        send(receiver)
        MENDED["health"]()
        eventually(lambda: len(told(pool)) == 2, 20, "it is decided again")
        send(receiver)
    about = [each for each in receiver.arrived if "pool_undecided" in each["dedup_key"]]
    assert [each["event_action"] for each in about] == ["trigger", "resolve"]
    assert "api cannot be decided for 3" in about[0]["payload"]["summary"]
    assert Alert.objects.get(destination=pager, subject__endswith="/pool_undecided").resolved_at is not None


def send(receiver: history.Receiver) -> None:
    now = database_now()
    routing.route(now)
    for later in range(0, 12, 2):
        at = now + timedelta(seconds=later)
        for leased in dispatch.claim(at, room=9, owner=history.new_id()):
            outcomes.record(leased, dispatch.send_leased(leased, receiver, at.timestamp()), began=at, duration=0.1, now=at)
