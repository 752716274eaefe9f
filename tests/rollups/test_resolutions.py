"""Roll-ups equal the raw results, whatever comes late, is missing, or runs twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.models import DayRollup, MinuteRollup
from nodes.rollups import roll_up
from tests.rollups.results import NOON, Result, after, by_hand, forget, stored, write

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATENCY = st.one_of(st.none(), st.floats(min_value=0.0, max_value=100.0, width=32))
INSTANT = st.one_of(st.floats(0, 7_200), st.floats(20_000, 21_000), st.floats(100_000, 180_000))  # with gaps of hours
RESULT = st.builds(Result, st.integers(1, 3), INSTANT.map(after), st.sampled_from("pwfu"), LATENCY)
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EXAMPLES
@given(st.lists(RESULT, max_size=40), st.lists(st.floats(0, 190_000), max_size=4))
def test_roll_ups_equal_the_raw_counts_whenever_they_ran(results: list[Result], runs: list[float]) -> None:
    forget()
    write(results)
    for seconds in sorted(runs):
        roll_up(after(seconds))
    roll_up(NOON + 4 * DAY)
    assert stored("minuterollup") == by_hand(results, MINUTE)
    assert stored("hourrollup") == by_hand(results, HOUR)
    assert stored("dayrollup") == by_hand(results, DAY)


@EXAMPLES
@given(st.lists(RESULT, min_size=1, max_size=20))
def test_a_second_run_changes_nothing(results: list[Result]) -> None:
    forget()
    write(results)
    roll_up(NOON + 4 * DAY)
    once = [stored(table) for table in ("minuterollup", "hourrollup", "dayrollup")]
    connection.cursor().execute("DELETE FROM nodes_rollupprogress")  # as if the watermarks were lost
    roll_up(NOON + 4 * DAY)
    assert [stored(table) for table in ("minuterollup", "hourrollup", "dayrollup")] == once


@EXAMPLES
@given(st.lists(st.tuples(st.floats(0, 3_599), st.floats(0, 890)), min_size=1, max_size=15))
def test_a_result_that_comes_late_is_counted_with_its_hour(checks: list[tuple[float, float]]) -> None:
    forget()
    arrivals = sorted((seconds + late, Result(1, after(seconds), "p", 0.1)) for seconds, late in checks)
    for instant, result in arrivals:
        write([result])
        roll_up(after(instant))
    roll_up(after(3_600 + 900))
    results = [result for _, result in arrivals]
    assert stored("minuterollup") == by_hand(results, MINUTE)
    assert stored("hourrollup") == by_hand(results, HOUR)


def test_a_minute_that_may_still_get_results_is_not_counted_yet() -> None:
    write([Result(1, after(59), "p", 0.1)])
    roll_up(after(149))
    assert not stored("minuterollup")
    roll_up(after(150))
    assert set(stored("minuterollup")) == {(1, NOON)}


def test_latencies_are_those_of_good_answers() -> None:
    write(
        [
            Result(1, after(1), "p", 0.25),
            Result(1, after(2), "w", 0.5),
            Result(1, after(3), "f", 5.0),
            Result(1, after(4), "u", None),
        ]
    )
    roll_up(NOON + HOUR)
    minute = MinuteRollup.objects.get(node_id=1)
    assert (minute.latency_sum, minute.latency_max) == (0.75, 0.5)
    assert sum(count or 0 for count in minute.histogram) == 2


def test_a_day_keeps_sum_and_maximum_of_its_hours() -> None:
    write([Result(1, after(hour * 3_600), "p", 0.25 * (hour + 1)) for hour in range(3)])
    roll_up(NOON + 2 * DAY)
    day = DayRollup.objects.get(node_id=1)
    assert (day.passes, day.latency_sum, day.latency_max) == (3, 1.5, 0.75)


def test_a_span_without_results_has_no_row() -> None:
    write([Result(1, after(0), "p", 0.1), Result(1, after(600), "p", 0.1)])
    roll_up(NOON + HOUR)
    assert {start for _, start in stored("minuterollup")} == {NOON, after(600)}


def test_nothing_to_count_is_no_error() -> None:
    assert roll_up(NOON) <= 3
    assert roll_up(NOON) == 0


def test_a_long_pause_of_the_console_is_skipped_in_a_few_steps() -> None:
    write([Result(1, after(0), "p", 0.1)])
    roll_up(after(600))
    write([Result(1, NOON + 90 * DAY, "p", 0.1)])
    assert roll_up(NOON + 90 * DAY + HOUR) < 120
    assert len(stored("minuterollup")) == 2
