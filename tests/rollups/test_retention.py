"""Partitions come before they are needed and go when their time is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from nodes import tasks
from nodes.rollups import default_partition, keep_partitions, resolutions, retention, roll_up
from nodes.rollups.default_partition import Span
from tests.rollups.results import NOON, Result, stored, write

DAY = timedelta(days=1)


def partitions(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [f"nodes_{table}"])
        return {row[0].removeprefix(f"nodes_{table}_") for row in cursor.fetchall()}


def in_default(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM nodes_{table}_default")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_today_and_the_next_two_days_have_their_partitions() -> None:
    keep_partitions(NOON)
    assert {"default", "20260329", "20260330", "20260331"} <= partitions("checkresult")
    assert {"default", "20260329", "20260330", "20260331"} <= partitions("minuterollup")
    assert {"default", "202603"} <= partitions("hourrollup")


@pytest.mark.django_db
def test_a_second_run_changes_nothing() -> None:
    keep_partitions(NOON)
    again = keep_partitions(NOON)
    assert (again.made, again.dropped, again.put_off) == ([], [], [])


@pytest.mark.django_db
def test_a_month_ends_where_the_next_begins() -> None:
    keep_partitions(datetime(2026, 12, 31, 23, tzinfo=UTC))
    assert {"202612", "202701"} <= partitions("hourrollup")


@pytest.mark.django_db
def test_rows_that_came_without_a_partition_are_moved_into_one() -> None:
    write([Result(1, NOON, "p", 0.1), Result(2, NOON - 3 * DAY, "p", 0.1)])
    assert in_default("checkresult") == 2
    keep_partitions(NOON)
    assert in_default("checkresult") == 0
    assert {"20260326", "20260329"} <= partitions("checkresult")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM nodes_checkresult")
        assert cursor.fetchone()[0] == 2


@pytest.mark.django_db
def test_results_are_dropped_after_seven_days_and_their_counts_stay() -> None:
    keep_partitions(NOON)
    write([Result(1, NOON, "p", 0.1)])
    roll_up(NOON + 9 * DAY)
    assert "nodes_checkresult_20260329" not in keep_partitions(NOON + 7 * DAY).dropped
    assert "nodes_checkresult_20260329" in keep_partitions(NOON + 8 * DAY).dropped
    assert "20260329" not in partitions("checkresult")
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(passes) FROM nodes_minuterollup")
        assert cursor.fetchone()[0] == 1


@pytest.mark.django_db
def test_minutes_go_after_thirty_days_and_hours_after_four_hundred() -> None:
    keep_partitions(NOON)
    write([Result(1, NOON, "p", 0.1)])
    roll_up(NOON + 500 * DAY)
    assert "nodes_minuterollup_20260329" in keep_partitions(NOON + 31 * DAY).dropped
    assert "nodes_hourrollup_202603" not in keep_partitions(NOON + 400 * DAY).dropped
    assert "nodes_hourrollup_202603" in keep_partitions(NOON + 403 * DAY).dropped


@pytest.mark.django_db
def test_what_has_not_been_counted_is_not_dropped() -> None:
    keep_partitions(NOON)
    write([Result(1, NOON, "p", 0.1)])
    assert keep_partitions(NOON + 30 * DAY).dropped == []
    roll_up(NOON + 30 * DAY)
    assert "nodes_checkresult_20260329" in keep_partitions(NOON + 30 * DAY).dropped


@pytest.fixture
def much(monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of two days and of today in the default partition, more than are moved in a step."""
    monkeypatch.setattr(retention, "MOST_MOVED", 10)
    rows = [Result(node, NOON - DAY * days, "p", 0.1) for node in range(20) for days in range(3)]
    write(rows)
    return len(rows)


def visible() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM nodes_checkresult")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_a_default_partition_of_many_rows_becomes_the_partition_of_their_days(much: int) -> None:
    done = keep_partitions(NOON)
    assert done.put_off == []
    assert in_default("checkresult") == 0
    assert "20260327_000000_20260401_000000" in partitions("checkresult")
    assert visible() == much
    write([Result(99, NOON, "p", 0.1), Result(99, NOON + 4 * DAY, "p", 0.1), Result(99, NOON - 9 * DAY, "p", 0.1)])
    assert (visible(), in_default("checkresult")) == (much + 3, 2)  # the default one takes any row again
    again = keep_partitions(NOON)
    assert (again.dropped, again.put_off, in_default("checkresult")) == ([], [], 0)
    assert keep_partitions(NOON).made == []


@pytest.mark.django_db
def test_it_is_counted_and_dropped_when_the_time_of_all_of_it_is_over(much: int) -> None:
    keep_partitions(NOON)
    roll_up(NOON + 20 * DAY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(passes) FROM nodes_minuterollup")
        assert cursor.fetchone()[0] == much
    name = "nodes_checkresult_20260327_000000_20260401_000000"
    assert name not in keep_partitions(NOON + 9 * DAY).dropped
    assert name in keep_partitions(NOON + 10 * DAY).dropped


@pytest.mark.django_db
def test_the_partitions_of_two_gaps_are_filled_in_steps_and_by_the_default_one(much: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE nodes_checkresult_20260320 PARTITION OF nodes_checkresult FOR VALUES"
            " FROM ('2026-03-20T00:00Z') TO ('2026-03-21T00:00Z')"
        )
    write([Result(node, NOON - 12 * DAY + timedelta(minutes=node), "p", 0.1) for node in range(25)])
    assert keep_partitions(NOON).put_off == []
    assert in_default("checkresult") == 0
    assert visible() == much + 25
    old = [name for name in partitions("checkresult") if name.startswith("20260317")]
    assert len(old) == 3  # of ten rows each at the most, if they were spread


@pytest.mark.django_db
@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_that_was_killed_is_gone_on_with(much: int, steps: int) -> None:
    span = Span(NOON - 5 * DAY, NOON + 5 * DAY)
    default_partition.bound("nodes_checkresult", "at", span)
    if steps == 2:
        default_partition.validate("nodes_checkresult")
    keep_partitions(NOON)
    assert (visible(), in_default("checkresult")) == (much, 0)
    assert not default_partition.is_bounded("nodes_checkresult")
    assert "20260327_000000_20260401_000000" in partitions("checkresult")


@pytest.mark.django_db
def test_a_bound_that_nobody_needs_any_more_is_taken_away() -> None:
    default_partition.bound("nodes_checkresult", "at", Span(NOON, NOON + DAY))
    keep_partitions(NOON)
    assert not default_partition.is_bounded("nodes_checkresult")


def elsewhere() -> psycopg.Connection[tuple[Any, ...]]:
    """A database session of somebody else."""
    known = connection.settings_dict
    named = {
        "dbname": known["NAME"],
        "host": known["HOST"],
        "port": known["PORT"],
        "user": known["USER"],
        "password": known["PASSWORD"],
    }
    return psycopg.connect(**{name: value for name, value in named.items() if value})


@pytest.mark.django_db
def test_a_long_query_puts_the_drop_off_and_the_next_run_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOCK_WAIT", "30ms")
    keep_partitions(NOON)
    roll_up(NOON + 8 * DAY)
    with elsewhere() as reader:
        reader.execute("LOCK TABLE ONLY nodes_checkresult IN ACCESS SHARE MODE")  # what a query holds
        assert "nodes_checkresult_20260329" in keep_partitions(NOON + 8 * DAY).put_off
        assert "20260329" in partitions("checkresult")
    assert "nodes_checkresult_20260329" in keep_partitions(NOON + 8 * DAY).dropped


@pytest.mark.django_db
def test_a_roll_up_that_runs_elsewhere_is_left_to_finish() -> None:
    write([Result(1, NOON, "p", 0.1)])
    with elsewhere() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [resolutions.LOCK])
        assert roll_up(NOON + DAY) == 0
    assert roll_up(NOON + DAY) > 0


@pytest.mark.django_db
def test_the_tasks_do_both_by_the_clock() -> None:
    tasks.keep_partitions()
    assert f"{timezone.now():%Y%m%d}" in partitions("checkresult")
    write([Result(1, timezone.now() - timedelta(minutes=5), "p", 0.1)])
    assert tasks.roll_up() > 0
    assert stored("minuterollup")
