"""Strips of 24 hours, a quarter of an hour a cell, the worst that happened in it; all pools in four queries."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from nodes.models import Node, NodeState
from nodes.series import CellState, read_states_24h, states_24h
from tests.reports.conftest import DAY, MIDNIGHT, History, at

NOW = at("24:05")  # its strip begins at 00:15
H, D, X, M, N = CellState.HEALTHY, CellState.DEGRADED, CellState.DOWN, CellState.MAINTENANCE, CellState.NO_DATA


def served(history: History, names: str = "ab") -> list[Node]:
    """Nodes that were seen all day."""
    nodes = [history.node(name) for name in names]
    for node in nodes:
        history.rolled("minute", node, MIDNIGHT, 24 * 60 + 3, passes=6)
    history.done("minute", at("24:03"))
    return nodes


def strip(history: History, now: datetime = NOW) -> tuple[CellState, ...]:
    return read_states_24h([history.pool.pk], now)[history.pool.pk]


def cell(clock: str) -> int:
    return (at(clock) - at("00:15")) // timedelta(minutes=15)


def test_a_quiet_day_is_healthy_throughout(history: History) -> None:
    served(history)
    assert strip(history) == (H,) * 96


def test_a_failing_node_degrades_the_cells_that_it_failed_in(history: History) -> None:
    a, _ = served(history)
    history.failure(a, "10:20", "10:21", "10:46")
    assert strip(history) == (*[H] * cell("10:15"), D, D, D, *[H] * (96 - cell("11:00")))


def test_a_failure_that_ends_with_a_cell_marks_none_beyond_it(history: History) -> None:
    a, _ = served(history)
    history.failure(a, "10:15", "10:16", "10:30")
    assert [number for number, state in enumerate(strip(history)) if state != H] == [cell("10:15")]


def test_a_pool_is_down_where_all_of_its_nodes_failed_together(history: History) -> None:
    a, b = served(history)
    history.failure(a, "10:00", "10:01", "11:00")
    history.failure(b, "10:40", "10:41", None)
    found = strip(history)
    assert found[cell("10:00") : cell("11:15")] == (D, D, X, X, D)
    assert found[-1] == D


def test_what_began_before_the_strip_is_shown_from_its_first_cell_on(history: History) -> None:
    (a,) = served(history, "a")
    history.failure(a, MIDNIGHT - DAY, MIDNIGHT - DAY, at("00:40"))
    assert strip(history)[:3] == (X, X, H)


def test_maintenance_is_shown_and_failing_meanwhile_is_not(history: History) -> None:
    a, _ = served(history)
    history.becomes(a, "maintenance", at("08:00"))
    history.failure(a, "08:10", "08:11", "08:20")
    history.becomes(a, "enabled", at("08:30"))
    assert strip(history)[cell("07:45") : cell("08:45")] == (H, M, M, H)


def test_a_pool_is_down_when_all_but_those_in_maintenance_fail(history: History) -> None:
    a, b = served(history)
    history.becomes(a, "maintenance", MIDNIGHT - DAY)
    history.failure(b, "08:00", "08:01", "08:10")
    assert strip(history)[cell("07:45") : cell("08:30")] == (M, X, M)


def test_a_disabled_node_does_nothing_to_its_pool(history: History) -> None:
    a, _ = served(history)
    history.becomes(a, "disabled", at("02:00"))
    assert strip(history) == (H,) * 96


def test_a_cell_without_a_result_has_no_data(history: History) -> None:
    node = history.node()
    history.rolled("minute", node, MIDNIGHT, 60, passes=6)
    history.rolled("minute", node, at("01:00"), 60, unknowns=6)
    history.rolled("minute", node, at("02:10"), 23 * 60, passes=6)
    found = strip(history)
    assert found[cell("00:45") : cell("02:15")] == (H, N, N, N, N, H)


def test_the_present_is_no_gap_while_its_minutes_are_not_rolled_up_yet(history: History) -> None:
    node = history.node()
    history.rolled("minute", node, MIDNIGHT, 24 * 60 - 2, passes=6)
    now = at("24:00:20")
    assert strip(history, now)[-2:] == (H, N)
    NodeState.objects.create(node=node, pool_id=history.pool.pk, due_at=now, observed_at=at("23:59:50"))
    assert strip(history, now)[-2:] == (H, H)
    assert strip(history, now + timedelta(minutes=14))[-2:] == (H, N)


def test_a_pool_is_without_data_until_it_is_there(history: History) -> None:
    node = history.node(created=at("12:00"))
    history.rolled("minute", node, at("12:00"), 13 * 60, passes=6)
    assert strip(history) == (*[N] * cell("12:00"), *[H] * (96 - cell("12:00")))


def test_a_pool_without_nodes_has_no_data(history: History) -> None:
    assert strip(history) == (N,) * 96


@pytest.mark.parametrize("pools", [1, 12])
def test_four_queries_do_for_all_pools(history: History, pools: int) -> None:
    found = [history, *(History(f"pool {number}", f"pool-{number}") for number in range(pools - 1))]
    for each in found:
        a, _ = served(each)
        each.failure(a, "10:00", "10:01", None)
    with CaptureQueriesContext(connection) as asked:
        strips = read_states_24h([each.pool.pk for each in found], NOW)
    assert len(asked) == 4
    assert {cells[-1] for cells in strips.values()} == {D}


def test_strips_are_read_once_a_minute(history: History) -> None:
    a, _ = served(history)
    pool = history.pool.pk
    assert states_24h([pool], NOW)[pool][-1] == H
    history.failure(a, "24:01", "24:02", None)
    with CaptureQueriesContext(connection) as asked:
        assert states_24h([pool], NOW + timedelta(seconds=59))[pool][-1] == H
    assert len(asked) == 0
    assert states_24h([pool], NOW + timedelta(seconds=60))[pool][-1] == D
