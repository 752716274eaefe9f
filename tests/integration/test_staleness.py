"""The engine and its SQL agree on intervals and on staleness, and a node that falls silent is found by the sweep and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nodes.engine import health as rules
from nodes.engine.enums import AdminState, Health
from nodes.ledger import intervals, pools_needing_attention
from nodes.ledger.pools import look
from nodes.ledger.rows import Row
from nodes.models import FailoverPolicy, Node, NodeState, Pool
from nodes.screens.overview import overview

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
AGES = st.none() | st.integers(0, 400_000).map(lambda ms: NOW - timedelta(milliseconds=ms))
DURATIONS = st.none() | st.floats(0.1, 90.0).map(lambda value: round(value, 3))
OVERRIDES = st.fixed_dictionaries(dict.fromkeys(("interval", "fast_interval", "down_interval", "check_timeout"), DURATIONS))
POLICIES = st.builds(lambda chosen, interval: chosen | {"interval": interval}, OVERRIDES, st.floats(0.1, 90.0))
STATES = st.fixed_dictionaries(
    {
        "health": st.sampled_from([each.value for each in Health]),
        "admin_state": st.sampled_from([each.value for each in AdminState]),
        "fails": st.integers(0, 2),
        "health_since": AGES,
        "observed_at": AGES,
        "due_interval": DURATIONS,
        "stale": st.sampled_from([False, False, False, True]),
    }
)
_JOINED = """FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool g ON g.id = n.pool_id
             JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id WHERE n.name = 'b'"""
_ANSWERS = f"""SELECT {intervals.INTERVAL} AS interval, {intervals.FAST_INTERVAL} AS fast, {intervals.DOWN_INTERVAL} AS down,
                      {intervals.CHECK_TIMEOUT} AS timeout, {intervals.INTERVAL_IN_FORCE} AS in_force,
                      {intervals.stale("%(now)s::timestamptz")} AS stale,
                      abs(extract(epoch FROM {intervals.STALE_AT} - %(now)s::timestamptz)) < 0.001 AS on_the_edge {_JOINED}"""


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POLICIES, OVERRIDES, STATES)
def test_the_engine_and_its_sql_give_one_answer(
    connection: psycopg.Connection[Row], pool: Pool, policy: dict[str, Any], overrides: dict[str, Any], state: dict[str, Any]
) -> None:
    FailoverPolicy.objects.update(**policy)
    Node.objects.filter(name="b").update(**overrides)
    NodeState.objects.filter(node__name="b").update(**state)
    with connection.cursor() as cursor:
        answer = cursor.execute(_ANSWERS, {"now": NOW}).fetchone()
        engine, _ = look(cursor, pool.pk)
    assert answer is not None
    assume(not answer["on_the_edge"])  # the database keeps microseconds
    node = next(each for each in engine.members if each.name == "b")
    given_by_engine = {
        "interval": node.health_policy.interval,
        "fast": rules.fast_interval(node.health_policy),
        "down": rules.down_interval(node.health_policy),
        "timeout": rules.effective_timeout(node.health_policy),
        "in_force": rules.interval_in_force(node.health_policy, node.health),
        "stale": rules.stale(node.health, node.health_policy, node.admin, NOW.timestamp()),
    }

    assert {name: answer[name] for name in given_by_engine} == pytest.approx(given_by_engine)
    assert NodeState.objects.get(node__name="b").is_stale(NOW) == given_by_engine["stale"]


def test_a_silent_node_is_found_by_the_sweep_and_shown_as_stale_before_it(connection: psycopg.Connection[Row], pool: Pool) -> None:
    with connection.cursor() as cursor:
        assert pools_needing_attention(cursor, sweep_stale=True) == []
        NodeState.objects.filter(node__name="b").update(health_since=timezone.now() - timedelta(seconds=26))
        assert pools_needing_attention(cursor, sweep_stale=False) == []
        assert pools_needing_attention(cursor, sweep_stale=True) == [pool.pk]

    [shown] = overview(timezone.now()).pools
    assert {node.name: node.stale for node in shown.nodes} == {"a": False, "b": True, "c": False}
    assert not NodeState.objects.get(node__name="b").stale
