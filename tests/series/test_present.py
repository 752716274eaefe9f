"""The figures of all pools at present, in one query."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from nodes.models import Node, NodeState
from nodes.series import PoolPresent, pools_now, read_pools_now
from tests.reports.conftest import History, at

NOW = at("12:00")


def state(node: Node, share: int, recent: str, **more: str) -> None:
    NodeState.objects.create(node=node, pool_id=node.pool_id, due_at=NOW, share=share, recent=recent, **more)


def of_pool(history: History) -> PoolPresent:
    return read_pools_now([history.pool.pk], NOW)[history.pool.pk]


def test_a_pool_of_which_nothing_is_known_has_no_figures(history: History) -> None:
    assert of_pool(history) == PoolPresent(None, None, None)


def test_the_p95_is_that_of_the_last_minutes_of_all_its_nodes(history: History) -> None:
    a, b = history.node("a"), history.node("b")
    history.rolled("minute", a, at("11:56"), latencies=(0.010,) * 94)
    history.rolled("minute", b, at("11:57"), latencies=(0.2,) * 6)
    history.rolled("minute", b, at("11:40"), latencies=(9.0,) * 500)
    assert of_pool(history).p95 == pytest.approx(0.2, rel=0.093)


def test_errors_are_those_that_the_traffic_meets(history: History) -> None:
    state(history.node("a"), 7_500, "p" * 36 + "f" * 4)
    state(history.node("b"), 2_500, "f" * 10 + "p" * 10 + "u" * 20)
    state(history.node("c"), 0, "f" * 40)
    assert of_pool(history).errors == pytest.approx(0.75 * 0.1 + 0.25 * 0.5)


def test_errors_are_those_of_all_nodes_while_nobody_holds_a_share(history: History) -> None:
    state(history.node("a"), 0, "ffff")
    state(history.node("b"), 0, "pfff")
    state(history.node("c"), 0, "pppp", admin_state="disabled")
    assert of_pool(history).errors == pytest.approx(7 / 8)


def test_a_rebalance_and_a_refusal_are_no_switch(history: History) -> None:
    node = history.node()
    history.change(node, "recovery", "09:00")
    history.change(node, "rebalance", "10:00")
    history.change(node, "failover", "11:00", status="refused")
    assert of_pool(history).switched_at == at("09:00")


def test_one_query_does_for_all_pools_and_is_asked_every_ten_seconds(history: History) -> None:
    other = History("other", "other")
    state(history.node(), 10_000, "ffff")
    state(other.node(), 10_000, "pppp")
    pools = [other.pool.pk, history.pool.pk]
    with CaptureQueriesContext(connection) as asked:
        found = pools_now(pools, NOW)
        assert pools_now(reversed(pools), NOW + timedelta(seconds=9)) is found
    assert len(asked) == 1
    assert (found[history.pool.pk].errors, found[other.pool.pk].errors) == (1.0, 0.0)
    assert pools_now(pools, NOW + timedelta(seconds=10)) is not found
