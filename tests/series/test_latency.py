"""The latency of a range is what a report prints for it, in buckets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from nodes.series import Range, latency_over
from tests.reports.conftest import DAY, MIDNIGHT, History, at

LATENCIES = (*[0.010] * 10, *[0.100] * 9, 1.0)


def past(history: History) -> int:
    """Twenty-two checks in each minute of four hours of two days, slower on the second, in minutes, hours and days alike."""
    node = history.node()
    for day, slower in ((0, 1), (1, 3)):
        answers = tuple(slower * each for each in LATENCIES)
        start = MIDNIGHT + day * DAY + timedelta(hours=5)
        history.rolled("minute", node, start, 240, latencies=answers, fails=2)
        history.rolled("hour", node, start, 4, latencies=answers * 60, fails=120)
        history.rolled("day", node, MIDNIGHT + day * DAY, latencies=answers * 240, fails=480)
    for resolution in ("minute", "hour", "day"):
        history.done(resolution, MIDNIGHT + 2 * DAY)
    return node.pk


@pytest.mark.parametrize("each", Range)
@pytest.mark.parametrize("clock", ["14:30", "31:10", "47:59"])
def test_the_whole_of_a_range_is_what_the_report_prints(history: History, each: Range, clock: str) -> None:
    node, history.now = past(history), at(clock)
    start, end, _ = each.window(at(clock))
    row = history.of_node(start, end)
    whole = latency_over([node], start, min(end, at(clock)), 1).whole
    assert (whole.p50, whole.p95, whole.p99, whole.checks) == (row.p50, row.p95, row.p99, row.checks)


@pytest.mark.parametrize("each", Range)
def test_buckets_add_up_to_the_whole_range(history: History, each: Range) -> None:
    node, history.now = past(history), at("48:00")
    start, end, buckets = each.window(at("32:30"))
    found = latency_over([node], start, end, buckets)
    row = history.of_node(start, end)
    assert (found.whole.p50, found.whole.p95, found.whole.p99, found.whole.checks) == (row.p50, row.p95, row.p99, row.checks)
    assert len(found.buckets) == buckets
    assert sum(bucket.checks for bucket in found.buckets) == row.checks
    assert sum(bucket.failed for bucket in found.buckets) == found.whole.failed == row.checks // 11


def test_each_bucket_has_its_own_percentiles_and_failed_checks(history: History) -> None:
    node = history.node()
    history.rolled("minute", node, at("10:00"), 15, latencies=(0.01,) * 9, fails=1)
    history.rolled("minute", node, at("10:15"), 15, latencies=(0.5,) * 10)
    found = latency_over([node.pk], at("10:00"), at("11:00"), 4)
    first, second, *rest = found.buckets
    assert (first.start, second.start) == (at("10:00"), at("10:15"))
    assert (first.checks, first.failed, second.checks, second.failed) == (150, 15, 150, 0)
    assert (first.p95, second.p50) == (pytest.approx(0.01, rel=0.093), pytest.approx(0.5, rel=0.093))
    assert {(each.p50, each.p95, each.p99, each.checks, each.failed) for each in rest} == {(None, None, None, 0, 0)}


def test_a_bucket_of_failed_checks_alone_has_no_percentile(history: History) -> None:
    node = history.node()
    history.rolled("minute", node, at("10:00"), 1, fails=6)
    bucket = latency_over([node.pk], at("10:00"), at("10:01"), 1).buckets[0]
    assert (bucket.p50, bucket.p99, bucket.failed) == (None, None, 6)


def test_the_nodes_of_a_pool_are_merged_and_no_others_are_in(history: History) -> None:
    a, b, c = (history.node(name) for name in "abc")
    history.rolled("minute", a, at("10:00"), latencies=(0.01,) * 3)
    history.rolled("minute", b, at("10:00"), latencies=(1.0,) * 5)
    history.rolled("minute", c, at("10:00"), latencies=(30.0,) * 50)
    found = latency_over([a.pk, b.pk], at("10:00"), at("10:01"), 1).whole
    assert (found.checks, found.p50) == (8, pytest.approx(1.0, rel=0.093))


def test_no_node_has_no_latency(history: History) -> None:
    assert latency_over([], at("10:00"), at("11:00"), 4).whole.checks == 0


def test_two_queries_do_for_a_year(history: History) -> None:
    node = past(history)
    with CaptureQueriesContext(connection) as asked:
        latency_over([node], *Range.YEAR.window(at("47:00")))
    assert len(asked) == 2
