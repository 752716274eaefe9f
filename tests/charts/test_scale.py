"""Ticks are round, ascending and inside; what lies outside of a scale is drawn at its edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.charts import Span
from nodes.charts.scale import Linear, latency_ticks, latency_top, nice_step, time_ticks, value_ticks
from tests.charts.examples import HOUR, START, spans


@given(spans)
def test_ticks_of_time_ascend_inside_and_are_few(span: Span) -> None:
    ticks = time_ticks(span)

    assert len(ticks) <= 7
    assert all(span.holds(tick.at) and 0 <= tick.x <= 1 for tick in ticks)
    assert all(earlier.at < later.at for earlier, later in pairwise(ticks))


@given(spans)
def test_ticks_of_time_are_round(span: Span) -> None:
    ticks = time_ticks(span)
    steps = {later.at - earlier.at for earlier, later in pairwise(ticks)}

    assert all(tick.at.microsecond == 0 for tick in ticks)
    assert all(tick.at.second == 0 for tick in ticks if tick.form != "clock")
    assert all((tick.at.hour, tick.at.minute) == (0, 0) for tick in ticks if tick.form in {"day", "month"})
    assert all(tick.at.day == 1 for tick in ticks if tick.form == "month")
    assert len(steps) <= 1 or {tick.form for tick in ticks} == {"month"}


@given(spans)
def test_a_span_has_ticks_unless_it_is_shorter_than_two_of_them(span: Span) -> None:
    assert len(time_ticks(span)) >= 2 or span.length < timedelta(seconds=3) or span.length > timedelta(days=60)


@pytest.mark.parametrize(
    ("length", "texts"),
    [
        (timedelta(hours=1), ["01:20", "01:30", "01:40", "01:50", "02:00", "02:10"]),
        (timedelta(minutes=1), ["01:17:30", "01:17:40", "01:17:50", "01:18:00", "01:18:10", "01:18:20"]),
        (timedelta(hours=24), ["06:00", "12:00", "18:00", "00:00"]),
        (timedelta(days=30), ["30 Nov", "7 Dec", "14 Dec", "21 Dec"]),
        (timedelta(days=365), ["Jan 2027", "Apr 2027", "Jul 2027", "Oct 2027"]),
    ],
)
def test_the_ranges_of_the_console_read_like_this(length: timedelta, texts: list[str]) -> None:
    assert [tick.text for tick in time_ticks(Span(START, START + length))] == texts


@given(st.floats(1e-6, 1e9), st.integers(1, 10))
def test_ticks_of_values_begin_at_zero_and_stay_below_the_top(top: float, at_most: int) -> None:
    values = [tick.value for tick in value_ticks(top, at_most=at_most)]

    assert values[0] == 0
    assert values[-1] <= top * (1 + 1e-6)
    assert len(values) <= at_most + 1


@given(st.floats(1e-6, 1e9), st.integers(1, 10))
def test_a_step_is_one_two_or_five_times_a_power_of_ten(top: float, at_most: int) -> None:
    digits = f"{nice_step(top, at_most):.6e}".split("e")[0]

    assert float(digits) in {1.0, 2.0, 5.0}


def test_latencies_are_written_in_milliseconds_and_in_seconds() -> None:
    assert [tick.text for tick in latency_ticks(0.088)] == ["0", "20\u00a0ms", "40\u00a0ms", "60\u00a0ms", "80\u00a0ms"]
    assert [tick.text for tick in latency_ticks(12.5)] == ["0", "5\u00a0s", "10\u00a0s"]


@given(st.floats(0, 100), st.floats(0.01, 60))
def test_a_value_is_never_drawn_outside(value: float, top: float) -> None:
    assert 0 <= Linear(top, 130).y(value) <= 130


def test_the_highest_latency_has_air_above_it() -> None:
    assert latency_top(1.0) > 1.0
    assert latency_top(None) == latency_top(0.0) > 0


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after its start"):
        Span(START, START)


def test_a_tick_stands_where_its_instant_is() -> None:
    tick = time_ticks(HOUR)[0]

    assert tick.at == datetime(2026, 11, 27, 1, 20, tzinfo=UTC)
    assert tick.x == pytest.approx(151 / 3600)
