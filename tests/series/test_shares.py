"""The band of a pool shows what was in force, with a bounded number of points, however long it reaches back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.engine.enums import Verdict
from nodes.models import Node, SharePoint
from nodes.series import shares_over
from nodes.series.shares import MOST, PINNED
from tests.pages import fleet
from tests.reports.conftest import DAY, MIDNIGHT, History, at

Written = list[tuple[datetime, dict[int, int]]]


def write(history: History, written: Written) -> None:
    """These shares, in this order, each with the next epoch."""
    points = [(when, {str(node): share for node, share in shares.items()}) for when, shares in written]
    SharePoint.objects.bulk_create(
        SharePoint(pool=history.pool, at=when, epoch=epoch, shares=shares) for epoch, (when, shares) in enumerate(points, 1)
    )


def in_force(written: Written, instant: datetime) -> dict[int, int]:
    """The shares at an instant, by looking at every row."""
    return next((shares for when, shares in reversed(written) if when <= instant), {})


def test_what_held_before_the_range_begins_the_band(history: History) -> None:
    a, b = history.node("a").pk, history.node("b").pk
    write(history, [(MIDNIGHT - DAY, {a: 10_000}), (at("10:00"), {b: 10_000}), (MIDNIGHT + DAY, {a: 10_000})])
    band = shares_over(history.pool.pk, MIDNIGHT, MIDNIGHT + DAY)
    assert [(point.at, point.shares, point.epoch) for point in band.points] == [
        (MIDNIGHT, {a: 10_000}, 1),
        (at("10:00"), {b: 10_000}, 2),
    ]
    assert band.exact


def test_a_pool_without_shares_has_an_empty_band(history: History) -> None:
    band = shares_over(history.pool.pk, MIDNIGHT, MIDNIGHT + DAY)
    assert (band.points, band.changes, band.at(at("10:00"))) == ((), (), {})


def test_nodes_stand_in_take_over_order_with_those_that_were_removed_since(history: History) -> None:
    standby, gone, first = history.node("a"), history.node("b", removed=at("12:00")), history.node("c")
    history.node("d", removed=at("01:00"))
    Node.objects.filter(pk=standby.pk).update(priority=2)
    write(history, [(at("00:30"), {gone.pk: 4_000, first.pk: 6_000})])
    band = shares_over(history.pool.pk, MIDNIGHT, MIDNIGHT + DAY)
    assert [(node.name, node.removed) for node in band.nodes] == [("b", True), ("c", False), ("a", False)]


SECONDS = st.integers(0, 1000)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(SECONDS, st.integers(0, 10_000)), max_size=40),
    begin=st.integers(0, 900),
    length=st.integers(1, 500),
    most=st.integers(2, 30),
)
def test_no_point_shows_a_share_that_was_not_in_force(
    history: History, rows: list[tuple[int, int]], begin: int, length: int, most: int
) -> None:
    with transaction.atomic():
        in_order = sorted(rows, key=lambda row: row[0])
        written: Written = [(MIDNIGHT + timedelta(seconds=when), {1: share, 2: 10_000 - share}) for when, share in in_order]
        write(history, written)
        start, end = MIDNIGHT + timedelta(seconds=begin), MIDNIGHT + timedelta(seconds=begin + length)
        band = shares_over(history.pool.pk, start, end, most=most)
        transaction.set_rollback(True)
    assert len(band.points) <= most
    assert [point.at for point in band.points] == sorted({point.at for point in band.points})
    steps = 50 if band.exact else most - 1
    even = [start + (end - start) * number / steps for number in range(steps)]
    for instant in (*(point.at for point in band.points), *even):
        assert band.at(instant) == in_force(written, instant)


def test_very_many_changes_are_as_many_points_as_may_be_true_at_even_instants(history: History) -> None:
    written: Written = [(MIDNIGHT + number * timedelta(seconds=9), {1: number, 2: 10_000 - number}) for number in range(5_000)]
    write(history, written)
    end = MIDNIGHT + timedelta(seconds=45_000)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        band = shares_over(history.pool.pk, MIDNIGHT, end)
    assert not band.exact
    assert len(band.points) == MOST
    assert len(asked) == 4
    for number in range(MOST):
        instant = MIDNIGHT + (end - MIDNIGHT) * number / (MOST - 1)
        assert band.at(instant) == in_force(written, instant)


def test_a_change_is_pinned_with_its_cause_its_guards_and_who_made_it(db: None) -> None:
    now = MIDNIGHT
    made = fleet.pool("api", "api", ("a", "b"), now)
    fleet.observe(made, now)
    later = fleet.rounds(made, now + timedelta(seconds=5), 3, {"a": (Verdict.FAIL, "refused")})
    band = shares_over(made.pk, now, later)
    failover = next(change for change in band.changes if change.kind == "failover")
    assert (failover.node, failover.moved, failover.by_person, failover.guards_overridden) == ("a", 5_000, False, ())
    assert failover.guards_passed == 6
    assert failover.cause == "a failed 3 checks in a row"
    assert failover.took == pytest.approx(10.0, abs=0.1)
    assert failover.epoch in {point.epoch for point in band.points}


def test_failovers_are_pinned_rather_than_rebalances(history: History) -> None:
    node = history.node()
    for hour in range(20):
        history.change(node, "rebalance", f"{hour}:00")
    history.change(node, "failover", "03:30")
    history.change(node, "failover", "03:40", status="refused")
    changes = shares_over(history.pool.pk, MIDNIGHT, MIDNIGHT + DAY).changes
    assert len(changes) == PINNED
    assert [change.at for change in changes if change.kind == "failover"] == [at("03:30")]
    assert [change.at for change in changes] == sorted(change.at for change in changes)
