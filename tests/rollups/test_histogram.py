"""Latencies as buckets: what a bucket holds, what a quantile of it may be off."""

from __future__ import annotations

import math

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from nodes.rollups import BUCKETS, bucket, quantile
from nodes.rollups.histogram import BOUNDS

LATENCIES = st.floats(min_value=0.0, max_value=300.0)
ANSWERS = st.floats(min_value=0.001, max_value=59.9)


def counted(latencies: list[float]) -> list[int | None]:
    histogram: list[int | None] = [None] * BUCKETS
    for latency in latencies:
        index = bucket(latency)
        histogram[index] = (histogram[index] or 0) + 1
    return histogram


@given(LATENCIES)
def test_every_latency_has_a_bucket_whose_bounds_hold_it(latency: float) -> None:
    index = bucket(latency)
    assert 0 <= index < BUCKETS
    assert index == 0 or BOUNDS[index - 1] <= latency
    assert index == BUCKETS - 1 or latency < BOUNDS[index]


def test_the_bounds_are_those_of_the_formula() -> None:
    assert [bucket(0.0009), bucket(0.001), bucket(59.9), bucket(60.0)] == [0, 1, 62, 63]
    assert BOUNDS[1] / BOUNDS[0] == pytest.approx(1.194, abs=0.001)


@pytest.mark.django_db
def test_the_database_counts_a_latency_into_the_same_bucket() -> None:
    latencies = [*BOUNDS, *(math.nextafter(bound, 0) for bound in BOUNDS), 0.0, 0.25, 1e6]
    with connection.cursor() as cursor:
        cursor.execute("SELECT width_bucket(unnest(%s::float8[]), %s::float8[])", [latencies, list(BOUNDS)])
        assert [row[0] for row in cursor.fetchall()] == [bucket(latency) for latency in latencies]


@given(st.lists(ANSWERS, min_size=1, max_size=60), st.floats(min_value=0.0, max_value=1.0))
def test_a_quantile_is_within_a_tenth_of_the_exact_one(latencies: list[float], q: float) -> None:
    exact = sorted(latencies)[max(1, math.ceil(q * len(latencies))) - 1]
    estimate = quantile(counted(latencies), q)
    assert estimate is not None
    assert abs(estimate - exact) <= 0.1 * exact


def test_without_answers_there_is_no_quantile() -> None:
    assert quantile([None] * BUCKETS, 0.5) is None


def test_the_outermost_buckets_stand_for_at_most_and_at_least() -> None:
    assert quantile(counted([0.0001]), 0.5) == 0.001
    assert quantile(counted([400.0]), 0.5) == 60.0
