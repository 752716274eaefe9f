"""The one transaction of a pool, against real PostgreSQL: state, events, decisions and incidents commit together."""

from __future__ import annotations

import time

import psycopg
import pytest

from nodes import operations
from nodes.engine.enums import AdminState, Verdict
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim, fast_path, store_results
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import (
    CheckResult,
    Event,
    Failover,
    FailoverPolicy,
    Failure,
    Incident,
    Node,
    NodeState,
    Outbox,
    Pool,
    PoolState,
)
from tests.integration.checking import lease, see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def shares() -> dict[str, int]:
    return dict(NodeState.objects.order_by("node__name").values_list("node__name", "share"))


def test_a_failing_node_loses_its_share_and_the_history_tells_it_in_one_commit(
    connection: psycopg.Connection[Row], pool: Pool
) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)

    assert shares() == {"a": 5001, "b": 0, "c": 4999}
    failover = Failover.objects.get(kind="failover")
    assert (failover.status, failover.epoch) == ("started", PoolState.objects.get().epoch)
    assert [each["name"] for each in failover.record["considered"] if each["taken"]] == ["a", "c"]
    incident = Incident.objects.get()
    assert incident.severity == "critical"
    assert incident.opened_at.timestamp() == pytest.approx(now + 1, abs=0.001)
    failure = Failure.objects.get()
    assert failure.moved_at is not None
    assert failure.message == "b failed 2 checks in a row: refused"
    assert set(Outbox.objects.values_list("event_id", flat=True)) == set(Event.objects.values_list("pk", flat=True))
    marked = Event.objects.get(type="node_marked_failed")
    assert marked.incident == incident


def test_a_receiver_that_passes_completes_the_failover_and_recovery_closes_the_incident(
    connection: psycopg.Connection[Row], pool: Pool
) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)
    see(connection, pool, {"a": "pass"}, now + 3)
    see(connection, pool, {"b": "pass"}, now + 4)
    see(connection, pool, {"b": "pass"}, now + 5)

    assert shares() == {"a": 3334, "b": 3333, "c": 3333}
    failover = Failover.objects.get(kind="failover")
    assert failover.status == "completed"
    assert failover.record["steps"][-1]["text"] == "Failover of b completed: a answers and holds its traffic"
    incident = Incident.objects.get()
    assert incident.closed_at is not None
    assert PoolState.objects.get().incident_id is None
    assert Failure.objects.get().recovered_at is not None
    assert Event.objects.get(type="incident_closed").incident_id is not None
    assert Failover.objects.filter(kind="recovery").count() == 1


def test_a_result_that_answers_an_old_claim_changes_nothing(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    node = NodeState.objects.get(node__name="b")
    old = Result(node.pk, node.token - 1, Observation(Verdict.FAIL, "late", None, now, now))

    with connection.transaction(), connection.cursor() as cursor:
        applied = advance(cursor, pool.pk, now=now + 1, results=[old, old])

    assert applied.outdated == (node.pk, node.pk)
    assert NodeState.objects.get(pk=node.pk).fails == 0


def test_two_leases_never_claim_the_same_node(pool: Pool) -> None:
    with connect("one") as one, connect("two") as two, one.cursor() as first, two.cursor() as second:
        mine = claim(first, lease(one), host="test", ahead=1, limit=2).claims
        yours = claim(second, lease(two), host="test", ahead=1, limit=10).claims
    assert len(mine) == 2
    assert len(yours) == 1
    assert not {c.node for c in mine} & {c.node for c in yours}


def test_a_plain_pass_takes_the_fast_path_and_is_fenced(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    NodeState.objects.update(due_at="2020-01-01T00:00Z", owner=None)
    session = lease(connection)
    with connection.cursor() as cursor:
        claims = claim(cursor, session, host="test", ahead=1, limit=10).claims
        assert all(c.fast_path for c in claims)
        NodeState.objects.filter(pk=claims[0].node).update(version=10_000)  # somebody else wrote meanwhile
        written = fast_path.write(
            cursor, [fast_path.Pass(c.node, c.term_number, c.version, now + 1, 0.02, now + 11, 10.0) for c in claims]
        )
        store_results(
            cursor, [Result(c.node, c.term_number, Observation(Verdict.PASS, "", 0.02, now + 1, now + 1)) for c in claims[1:]]
        )

    assert written == {c.node for c in claims[1:]}
    passed = NodeState.objects.get(pk=claims[1].node)
    assert (passed.recent, passed.owner, passed.breaker_successful) == ("pp", None, 2)
    assert CheckResult.objects.filter(verdict="p", node_id__in=[c.node for c in claims]).count() == 2


def test_draining_moves_the_share_and_tells_who_and_why(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, time.time())
    node = Node.objects.get(name="a")

    operations.set_admin_state(node.pk, AdminState.DRAINING, actor="ada", reason="new kernel")

    assert shares()["a"] == 0
    event = Event.objects.get(type="admin_state_changed")
    assert event.actor == "ada"
    assert "new kernel" in event.message
    assert event.failover is not None
    assert event.failover.kind == "manual"


def test_the_last_eligible_node_is_not_drained_by_mistake(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass"}, time.time())

    with pytest.raises(operations.Refused, match="No other node is eligible"):
        operations.set_admin_state(Node.objects.get(name="a").pk, AdminState.DRAINING, actor="ada")

    assert shares()["a"] == 10_000


def test_editing_a_policy_keeps_the_live_state(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    FailoverPolicy.objects.update(failure_threshold=5)

    operations.configuration_saved(
        FailoverPolicy.objects.get(), actor="ada", before={"failure_threshold": "2"}, after={"failure_threshold": "5"}
    )

    state = NodeState.objects.get(node__name="b")
    assert (state.fails, state.health, state.share) == (1, "healthy", 3333)
    assert Event.objects.get(type="config_changed").detail["after"] == {"failure_threshold": "5"}


def test_a_pause_holds_failovers_and_resuming_lets_them_happen(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    operations.pause(None, actor="ada", reason="network work")
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)
    assert shares()["b"] == 3333
    refusal = Failover.objects.get(status="refused")
    assert (refusal.refused_by, refusal.epoch) == ("paused", None)

    operations.resume(None, actor="ada")
    with connection.transaction(), connection.cursor() as cursor:
        advance(cursor, pool.pk, now=now + 3)

    assert shares()["b"] == 0


def test_removing_a_node_keeps_its_history_and_frees_its_name(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, time.time())
    node = Node.objects.get(name="a")

    operations.remove_node(node.pk, actor="ada")

    assert Node.objects.get(pk=node.pk).removed_at is not None
    assert Event.objects.filter(node=node, type="node_removed").exists()
    assert sum(NodeState.objects.filter(node__removed_at=None).values_list("share", flat=True)) == 10_000
    Node.objects.create(pool=pool, name="a", address="127.0.0.1")
