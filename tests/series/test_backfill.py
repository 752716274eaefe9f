"""What the migration makes of decisions was in force, though not all that was can be known from them."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.models import Failover, Node, PoolState, SharePoint
from tests.pages import fleet
from tests.series.ledger import slowly
from tests.series.test_written_shares import ACTS, FAILS, act, begun

pytestmark = pytest.mark.django_db

Rows = list[tuple[datetime, int, dict[str, int]]]


def rows() -> Rows:
    return list(SharePoint.objects.order_by("at", "pk").values_list("at", "epoch", "shares"))


def filled_again() -> Rows:
    SharePoint.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("nodes.migrations.0022_share_points").BACKFILL)
    return rows()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS, st.sampled_from([0.0, 40.0]))
def test_every_row_was_in_force_and_the_last_one_is(acts: list[tuple[str, object]], slow: float) -> None:
    with transaction.atomic():
        now = timezone.now()
        made = begun(now)
        slowly(slow)
        for what, whom in acts:
            now += timedelta(seconds=5)
            act(made, what, whom, now)
        true, found = rows(), filled_again()
        transaction.set_rollback(True)
    assert [row for row in found if row not in true] == []
    assert (found[0], found[-1]) == (true[0], true[-1])
    if not slow:
        assert found == true


def ramped() -> list[Any]:
    """A slow start that is over; returns the node's share in each row that was written."""
    now = timezone.now()
    made = begun(now)
    slowly(100.0)
    later = fleet.rounds(made, now + timedelta(seconds=5), 3, {"a": FAILS})
    fleet.rounds(made, later, 40)
    return rows()


def test_of_a_slow_start_the_first_and_the_last_step_are_known() -> None:
    true = ramped()
    assert filled_again() == [*true[:3], true[-1]]


def test_a_decision_that_counts_trials_tells_of_its_first_alone() -> None:
    true = ramped()
    Failover.objects.filter(kind="recovery").update(trials=7)
    PoolState.objects.update(epoch_at=None)
    assert filled_again() == true[:3]


@pytest.mark.parametrize("record", ["x", 7, [], {}, {"considered": "x", "steps": 3}, {"considered": [1, {"node": "x"}]}])
def test_a_record_that_cannot_be_read_leaves_its_shares_to_the_row(record: Any) -> None:
    begun(timezone.now())
    true = rows()
    Failover.objects.update(record=record)
    assert filled_again() == true
    Failover.objects.update(shares_after=record)
    PoolState.objects.update(epoch_at=None)
    assert all(set(shares) <= {str(node) for node in Node.objects.values_list("pk", flat=True)} for _, _, shares in filled_again())
