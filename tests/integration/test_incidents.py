"""Incidents in real PostgreSQL: one open a pool and one a flapping node, what belongs to which, their titles and their ends."""

from __future__ import annotations

import time
from datetime import timedelta
from random import Random

import psycopg
import pytest

from nodes import operations
from nodes.engine.enums import AdminState, Guard
from nodes.engine.reporting import Calls, Report, report
from nodes.ledger import advance
from nodes.ledger.pools import transact
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Event, Failover, FailoverPolicy, Failure, Incident, NodeState, Pool, PoolState
from tests.integration.checking import see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ALL_WELL = {"a": "pass", "b": "pass", "c": "pass"}


def node(name: str) -> int:
    return NodeState.objects.get(node__name=name).node_id


def see_all(connection: psycopg.Connection[Row], pool: Pool, now: float, **verdicts: str) -> None:
    """Every node is checked; those that are not named pass."""
    see(connection, pool, ALL_WELL | verdicts, now)


def pass_time(connection: psycopg.Connection[Row], pool: Pool, now: float) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        advance(cursor, pool.pk, now=now)


def own() -> Incident:
    return Incident.objects.get(node=None)


def own_open() -> Incident:
    return Incident.objects.get(node=None, closed_at=None)


def flaps(name: str) -> Incident:
    return Incident.objects.get(node__name=name)


@pytest.fixture
def flapping(connection: psycopg.Connection[Row], pool: Pool) -> float:
    """b has failed, recovered and failed again; the instant of that, now or shortly before."""
    FailoverPolicy.objects.update(failure_threshold=1, recovery_threshold=1)
    now = time.time() - 100
    for second, verdict in ((0, "pass"), (1, "fail"), (61, "pass"), (99, "fail")):
        see_all(connection, pool, now + second, b=verdict)
    return now + 99


def test_a_node_that_fails_again_opens_an_incident_of_its_own(
    connection: psycopg.Connection[Row], pool: Pool, flapping: float
) -> None:
    first, second = own(), flaps("b")
    assert (first.closed_at is not None, second.closed_at) == (True, None)
    assert list(Failure.objects.order_by("pk").values_list("incident", flat=True)) == [first.pk, second.pk]
    assert PoolState.objects.get().incident_id is None
    about = Event.objects.filter(incident=second).order_by("pk")
    assert list(about.values_list("type", flat=True)) == ["health_check_failed", "node_marked_failed", "failover_started"]
    assert Failover.objects.filter(kind="failover").latest("pk").incident == second
    assert second.severity == "critical"


def test_other_nodes_stay_in_the_pools_incident(connection: psycopg.Connection[Row], pool: Pool, flapping: float) -> None:
    see_all(connection, pool, flapping + 1, b="fail", c="fail")
    other = own_open()
    assert list(Failure.objects.filter(incident=other).values_list("node__name", flat=True)) == ["c"]
    assert (other.summary, PoolState.objects.get().incident_id) == ("api: 2 of 3 nodes down, all traffic on a", other.pk)
    see_all(connection, pool, flapping + 2, b="fail")
    assert Incident.objects.get(pk=other.pk).closed_at is not None
    assert flaps("b").closed_at is None


def test_further_failures_join_and_a_quiet_time_closes_it_once(
    connection: psycopg.Connection[Row], pool: Pool, flapping: float
) -> None:
    see_all(connection, pool, flapping + 1)
    see_all(connection, pool, flapping + 500, b="fail")
    assert flaps("b").summary.startswith("api: b is flapping: failed 3 times in 10 min, down now")
    see_all(connection, pool, flapping + 501)
    woken = PoolState.objects.get().wake_at
    assert woken is not None
    assert woken.timestamp() == pytest.approx(flapping + 501 + 600, abs=0.01)
    for later in (0, 1, 2):
        pass_time(connection, pool, woken.timestamp() + later)
    over = flaps("b")
    assert over.closed_at is not None
    assert over.summary == "api: b was flapping: failed 3 times in 10 min; traffic is at its weights"
    assert [each.message for each in Event.objects.filter(incident=over, type="incident_closed")] == [
        "b has not failed for 10 min: it flaps no more"
    ]
    assert NodeState.objects.get(node__name="b").flapping is None


def test_what_concerns_the_whole_pool_belongs_to_the_flapping_incident_only_while_it_is_alone(
    connection: psycopg.Connection[Row], pool: Pool, flapping: float
) -> None:
    NodeState.objects.filter(node__name="a").update(breaker_mode="forced_open")
    see(connection, pool, {"b": "fail", "c": "pass"}, flapping + 1)
    assert Event.objects.get(type="low_capacity").incident == flaps("b")
    NodeState.objects.filter(node__name="a").update(breaker_mode="auto")
    see(connection, pool, {"a": "pass", "b": "fail", "c": "pass"}, flapping + 2)
    assert Event.objects.get(type="low_capacity_ended").incident == flaps("b")
    see_all(connection, pool, flapping + 3, a="fail", b="fail")
    assert Event.objects.filter(type="low_capacity").latest("pk").incident == own_open()


def test_each_is_acknowledged_by_itself_and_the_flapping_one_for_as_long_as_it_lasts(
    connection: psycopg.Connection[Row], pool: Pool, flapping: float
) -> None:
    see_all(connection, pool, flapping + 1, b="fail", c="fail")
    operations.acknowledge(flaps("b").pk, actor="ann", note="looking")
    said = Event.objects.get(type="acknowledged")
    assert (said.incident, said.message) == (flaps("b"), "ann acknowledged the flapping of b in api: looking")
    assert own_open().acknowledged_at is None
    see_all(connection, pool, flapping + 2, c="fail")
    see_all(connection, pool, flapping + 3, b="fail", c="fail")
    assert flaps("b").acknowledged_by == "ann"
    operations.acknowledge(own_open().pk, actor="bob", note="")
    assert Event.objects.filter(type="acknowledged").latest("pk").message == "bob acknowledged the incident of api"


def test_removing_the_node_closes_it_at_once(connection: psycopg.Connection[Row], pool: Pool, flapping: float) -> None:
    operations.remove_node(node("b"), actor="ann", override=frozenset(Guard))
    over = flaps("b")
    assert over.closed_at is not None
    assert Event.objects.get(incident=over, type="incident_closed").message == "b was removed, it flaps no more"
    assert NodeState.objects.get(node__name="b").flapping is None


def test_removing_the_pool_closes_it(connection: psycopg.Connection[Row], pool: Pool, flapping: float) -> None:
    operations.remove_pool(pool.pk, actor="ann")
    assert not Incident.objects.filter(closed_at=None).exists()
    assert Event.objects.filter(type="incident_closed").count() == Incident.objects.count()


def test_maintenance_ends_the_failure_and_begins_the_quiet_time(
    connection: psycopg.Connection[Row], pool: Pool, flapping: float
) -> None:
    operations.set_admin_state(node("b"), AdminState.MAINTENANCE, actor="ann")
    assert flaps("b").closed_at is None
    assert flaps("b").summary.endswith("in maintenance now")
    pass_time(connection, pool, time.time() + 601)
    assert flaps("b").closed_at is not None


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_nodes_do_each_incident_ends_once_and_holds_its_own_failures(
    connection: psycopg.Connection[Row], pool: Pool, seed: int
) -> None:
    FailoverPolicy.objects.update(failure_threshold=1, recovery_threshold=1, flapping_within=100.0)
    chance, now = Random(seed), time.time() - 10_000
    for _ in range(50):
        now += chance.choice([5, 20, 20, 60, 99, 100, 300])
        see(connection, pool, {name: chance.choice(["pass", "pass", "fail"]) for name in "abc"}, now)
    for _ in range(2):
        now += 100
        see_all(connection, pool, now)

    assert Incident.objects.exclude(node=None).exists()
    assert not Incident.objects.filter(closed_at=None).exists()
    for incident in Incident.objects.all():
        assert Event.objects.filter(incident=incident, type="incident_closed").count() == 1
        assert incident.failures.exists()
        if incident.node is not None:
            assert set(incident.failures.values_list("node", flat=True)) == {incident.node_id}
            about = Event.objects.filter(incident=incident).exclude(node=None)
            assert set(about.values_list("node", flat=True)) == {incident.node_id}
            assert incident.closed_at - incident.failures.latest("recovered_at").recovered_at >= timedelta(seconds=100)


def test_a_title_says_who_was_down_once_it_is_over(connection: psycopg.Connection[Row], pool: Pool) -> None:
    FailoverPolicy.objects.update(failure_threshold=1, recovery_threshold=1)
    now = time.time()
    see(connection, pool, ALL_WELL, now)
    see(connection, pool, {"a": "fail"}, now + 1)
    assert own().summary == "api: 1 of 3 nodes down, all traffic on b and c"
    see(connection, pool, {"b": "fail", "c": "fail"}, now + 2)
    assert own().summary == "api: 3 of 3 nodes down, all traffic still on b and c, which are down: no other node can take it"
    see(connection, pool, ALL_WELL, now + 92)
    assert own().summary == "api: a, b and c were down for 2 min; traffic is at its weights"


def test_a_step_that_changes_nothing_leaves_the_incidents_row_alone(connection: psycopg.Connection[Row], pool: Pool) -> None:
    FailoverPolicy.objects.update(failure_threshold=1)
    now = time.time()
    see(connection, pool, ALL_WELL, now)
    see(connection, pool, {"a": "fail"}, now + 1)
    written = _row_version(connection)
    see(connection, pool, {"a": "fail", "b": "pass"}, now + 2)
    assert _row_version(connection) == written


def _row_version(connection: psycopg.Connection[Row]) -> str:
    row = connection.execute("SELECT xmin::text AS version FROM nodes_incident").fetchone()
    assert row is not None
    return str(row["version"])


def try_and_fail(connection: psycopg.Connection[Row], pool: Pool, now: float) -> None:
    """The breaker of b lets a trial through, and the call fails."""
    see_all(connection, pool, now)
    call(connection, pool, now + 1, failed=1)


def call(connection: psycopg.Connection[Row], pool: Pool, now: float, *, failed: int = 0, well: int = 0) -> None:
    """Callers of b report how it went."""
    told, called = Report((Calls(well, failed, now),)), node("b")
    with connection.transaction(), connection.cursor() as cursor:
        transact(cursor, pool.pk, lambda before, fleet, _, at: report(before, fleet, at, called, told), now=now)


def test_trials_that_calls_fail_are_one_decision_that_counts_them(connection: psycopg.Connection[Row], pool: Pool) -> None:
    BreakerPolicy.objects.update(timeout=30.0)
    now = time.time()
    see(connection, pool, ALL_WELL, now)
    call(connection, pool, now + 1, failed=5)
    for trial in range(1, 22):
        try_and_fail(connection, pool, now + 40 * trial)

    counted = Failover.objects.get(kind="recovery")
    assert (counted.trials, counted.status, len(counted.record["steps"])) == (21, "failed", 3)
    assert counted.last_trial_at is not None
    assert counted.last_trial_at.timestamp() == pytest.approx(now + 40 * 21, abs=0.01)
    assert PoolState.objects.get().epoch >= 42
    for kind in ("breaker_half_opened", "recovery_started", "recovery_failed", "breaker_reopened"):
        assert Event.objects.filter(type=kind).count() == 3, kind

    see_all(connection, pool, now + 40 * 22)
    call(connection, pool, now + 40 * 22 + 1, well=2)
    counted.refresh_from_db()
    assert (counted.trials, counted.status) == (22, "completed")
    assert Failover.objects.filter(kind="recovery").count() == 1
    assert NodeState.objects.get(node__name="b").trials_epoch is None
