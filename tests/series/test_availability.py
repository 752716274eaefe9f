"""Availability and uptime are the figures of the reports, for the same range, whole and in buckets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from nodes.models import Node
from nodes.series import UPTIMES, Range, availability_over, uptime
from tests.reports.conftest import DAY, MIDNIGHT, History, at


def eventful(history: History) -> Node:
    """Two nodes, with failures, maintenance, and hours in which the console was off."""
    a, b = history.node("a"), history.node("b")
    for node in (a, b):
        for resolution, length in (("minute", 60), ("hour", 3600), ("day", 86_400)):
            history.rolled(resolution, node, MIDNIGHT - 28 * DAY, (28 * 86_400 + 8 * 3600) // length, passes=6)
            history.rolled(resolution, node, MIDNIGHT + (DAY if resolution == "day" else timedelta(hours=12)), 1, passes=6)
            history.done(resolution, MIDNIGHT + 2 * DAY)
    history.failure(a, "02:00", "02:01", "03:30")
    history.failure(b, "03:00", "03:01", "04:00")
    history.failure(a, "46:00", "46:01", None)
    history.failure(a, MIDNIGHT - 20 * DAY, MIDNIGHT - 20 * DAY, MIDNIGHT - 19 * DAY)
    history.becomes(b, "maintenance", at("05:00"))
    history.becomes(b, "enabled", at("06:00"))
    history.becomes(a, "disabled", MIDNIGHT - 10 * DAY)
    history.becomes(a, "enabled", MIDNIGHT - 9 * DAY)
    return a


@pytest.mark.parametrize("days", [1, 2, 7, 30, 90, 365])
def test_the_whole_of_a_range_is_what_the_report_prints(history: History, days: int) -> None:
    node = eventful(history)
    start, end = history.now - days * DAY, history.now
    for whose, row in ((node, history.of_node(start, end)), (history.pool, history.of_pool(start, end))):
        whole = availability_over(whose, start, end, 7, now=history.now).whole
        printed = (row.availability, row.downtime, row.counted, row.set_aside, row.unwatched)
        assert (whole.availability, whole.downtime, whole.measured, whole.excluded, whole.unmonitored) == printed


def test_uptime_is_what_the_reports_of_these_ranges_print(history: History) -> None:
    node = eventful(history)
    found = uptime(node, history.now)
    assert tuple(found) == UPTIMES
    for each, availability in found.items():
        assert availability == history.of_node(history.now - each.length, history.now).availability
    assert len(set(found.values())) == 3  # the node is there since 30 days
    for each, availability in uptime(history.pool, history.now).items():
        assert availability == history.of_pool(history.now - each.length, history.now).availability


@pytest.mark.parametrize("each", Range)
def test_buckets_add_up_to_the_whole_range(history: History, each: Range) -> None:
    node = eventful(history)
    start, end, buckets = each.window(history.now)
    for whose in (node, history.pool):
        found = availability_over(whose, start, end, buckets, now=history.now)
        assert len(found.buckets) == buckets
        for figure in ("downtime", "measured", "excluded", "unmonitored"):
            parts = sum(getattr(bucket, figure) for bucket in found.buckets)
            assert parts == pytest.approx(getattr(found.whole, figure), abs=0.001)


def test_a_bucket_tells_of_itself_alone(history: History) -> None:
    node = history.node()
    history.failure(node, "02:15", "02:16", "02:45")
    found = availability_over(node, at("01:00"), at("05:00"), 4, now=at("04:00"))
    assert [bucket.availability for bucket in found.buckets] == [1.0, 0.5, 1.0, None]
    assert [bucket.downtime for bucket in found.buckets] == [0, 1800, 0, 0]


def test_a_node_that_is_younger_than_the_range_is_measured_since_it_is_there(history: History) -> None:
    node = history.node(created=at("03:00"))
    found = availability_over(node, at("00:00"), at("04:00"), 4, now=history.now)
    assert [bucket.measured for bucket in found.buckets] == [0, 0, 0, 3600]


def test_a_node_that_was_not_there_has_no_availability(history: History) -> None:
    node = history.node(created=at("10:00"))
    assert availability_over(node, at("00:00"), at("04:00"), 4, now=history.now).whole.availability is None


@pytest.mark.parametrize("nodes", [1, 30])
def test_the_queries_do_not_grow_with_the_pool(history: History, nodes: int) -> None:
    found = [history.node(f"n{number}") for number in range(nodes)]
    for resolution in ("minute", "hour", "day"):
        history.done(resolution, MIDNIGHT + 2 * DAY)
    with CaptureQueriesContext(connection) as asked:
        availability_over(history.pool, *Range.DAY.window(history.now), now=history.now)
    assert len(asked) == 5
    with CaptureQueriesContext(connection) as asked:
        uptime(found[0], history.now)
    assert len(asked) == 6
