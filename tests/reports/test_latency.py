"""Checks and latency percentiles come from the roll-ups of the range, of the whole range and of nothing beside it."""

from __future__ import annotations

import pytest

from tests.reports.conftest import DAY, MIDNIGHT, History, at


def near(seconds: float) -> object:
    """A latency as exact as a bucket is."""
    return pytest.approx(seconds, rel=0.093)


def test_percentiles_are_by_nearest_rank(history: History) -> None:
    answers = (*[0.010] * 50, *[0.100] * 45, *[1.0] * 4, 10.0)
    history.rolled("minute", history.node(), at("10:00"), latencies=answers)
    row = history.of_node()
    assert (row.p50, row.p95, row.p99, row.checks) == (near(0.010), near(0.100), near(1.0), 100)


def test_one_slow_answer_of_few_is_the_99th_percentile(history: History) -> None:
    history.rolled("minute", history.node(), at("10:00"), latencies=(0.010, 0.010, 2.0))
    row = history.of_node()
    assert (row.p50, row.p99) == (near(0.010), near(2.0))


def test_a_node_without_good_answers_has_no_percentiles(history: History) -> None:
    history.rolled("minute", history.node(), at("10:00"), fails=6, unknowns=2)
    row = history.of_node()
    assert (row.p50, row.p95, row.p99, row.checks, row.unknown) == (None, None, None, 8, 0.25)


def test_a_pool_merges_the_answers_of_its_nodes(history: History) -> None:
    history.rolled("minute", history.node("a"), at("10:00"), latencies=(0.010,) * 3)
    history.rolled("minute", history.node("b"), at("10:00"), latencies=(1.0,) * 5, unknowns=2)
    row = history.of_pool()
    assert (row.p50, row.checks, row.unknown) == (near(1.0), 10, 0.2)


def test_only_the_minutes_of_the_range_count(history: History) -> None:
    history.rolled("minute", history.node(), at("09:58"), 4, latencies=(0.02,))
    assert history.of_node(at("10:00"), at("10:01")).checks == 1
    assert history.of_node(at("09:00"), at("10:00")).checks == 2


def everything(history: History) -> None:
    """One check a minute over three days, rolled up to the end; in each hour and day exactly what its minutes hold."""
    node = history.node()
    history.rolled("minute", node, MIDNIGHT, 3 * 24 * 60, latencies=(0.02,))
    history.rolled("hour", node, MIDNIGHT, 3 * 24, latencies=(0.02,) * 60)
    history.rolled("day", node, MIDNIGHT, 3, latencies=(0.02,) * 60 * 24)
    for resolution in ("minute", "hour", "day"):
        history.done(resolution, MIDNIGHT + 3 * DAY)
    history.now = MIDNIGHT + 4 * DAY


@pytest.mark.parametrize(
    ("begin", "end", "minutes"),
    [
        ("00:00", "24:00", 1440),
        ("00:00", "48:00", 2880),  # a range that ended while more was rolled up: nothing after its end
        ("10:00", "11:00", 60),
        ("10:20", "10:50", 30),
        ("10:20", "35:10", 24 * 60 + 50),
        ("10:20", "70:10", 59 * 60 + 50),
        ("00:00", "96:00", 3 * 1440),
    ],
)
def test_days_hours_and_minutes_together_are_the_range_and_no_more(history: History, begin: str, end: str, minutes: int) -> None:
    everything(history)
    assert history.of_node(at(begin), at(end)).checks == minutes


def test_what_is_in_no_hour_or_day_yet_comes_from_the_finer_rows(history: History) -> None:
    node = history.node()
    history.rolled("minute", node, MIDNIGHT, 2 * 24 * 60, latencies=(0.02,))
    history.rolled("hour", node, MIDNIGHT, 30, latencies=(0.02,) * 60)
    history.rolled("day", node, MIDNIGHT, 1, latencies=(0.02,) * 1440)
    for resolution, until in (("minute", at("48:00")), ("hour", at("30:00")), ("day", at("24:00"))):
        history.done(resolution, until)
    assert history.of_node(MIDNIGHT, at("48:00")).checks == 2 * 1440


def test_days_outlive_their_minutes_and_hours(history: History) -> None:
    history.rolled("day", history.node(), MIDNIGHT, 2, latencies=(0.05,) * 100)
    history.done("day", MIDNIGHT + 500 * DAY)
    history.now = MIDNIGHT + 500 * DAY
    row = history.of_node(MIDNIGHT, MIDNIGHT + 2 * DAY)
    assert (row.checks, row.p95) == (200, near(0.05))
