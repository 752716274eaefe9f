"""Partitions come before they are needed and go when their time is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from nodes import tasks
from nodes.rollups import keep_partitions, resolutions, retention, roll_up
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
