"""The band tells who carried what: heights add up, gaps stay track, names fit or are left out."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.charts import Pin, Shares, Span, shares_band
from nodes.charts.band import HEIGHT, PLOT
from nodes.charts.stack import MOST, fitted, layers, stacked
from tests.charts.examples import HOUR, MOVED, ORDER, PINS, SEGMENTS, START, parsed, paths, said, shared

NUMBERS = re.compile(r"-?\d+\.?\d*")


@given(st.lists(st.integers(0, 10_000), max_size=9), st.floats(10, 300))
def test_heights_add_up_to_what_is_carried(parts: list[int], height: float) -> None:
    edges = stacked(parts, height)

    assert edges[0] == 0
    assert list(edges) == sorted(edges)
    assert edges[-1] == pytest.approx(height * min(1, sum(parts) / 10_000), abs=0.01)


@given(shared())
def test_segments_are_cut_to_the_span_and_do_not_overlap(made: tuple[Span, list[str], list[Shares]]) -> None:
    span, _, segments = made
    ends = [edge for each in fitted(segments, span) for edge in (each.start, each.end)]

    assert ends == sorted(ends)
    assert all(span.holds(edge) for edge in ends)


@given(shared())
def test_nothing_is_drawn_outside(made: tuple[Span, list[str], list[Shares]]) -> None:
    span, order, segments = made
    chart = shares_band(segments, order, span, subject="api")

    for i in range(1, 7):
        for d in paths(chart.svg, f"t{i}"):
            numbers = [(command, float(value)) for command, value in re.findall(r"([HV])(-?[\d.]+)", d)]
            assert all(0 <= value <= (1000 if command == "H" else PLOT) for command, value in numbers)


@given(shared())
def test_texts_are_few_and_stand_inside_the_band(made: tuple[Span, list[str], list[Shares]]) -> None:
    span, order, segments = made
    chart = shares_band(segments, order, span, subject="api")
    labels = [each for each in parsed(chart.svg).iter("text") if re.match(r"o\d", each.attrib.get("class", ""))]

    assert len(labels) <= 2 * 6 * len(segments)
    assert all(0 < float(each.attrib["y"]) < HEIGHT for each in labels)


def test_an_hour_with_a_failover_is_four_paths_and_one_sentence() -> None:
    chart = shares_band(SEGMENTS, ORDER, HOUR, subject="api", pins=PINS)

    assert [len(paths(chart.svg, f"t{i}")) for i in range(1, 7)] == [1, 1, 1, 1, 0, 0]
    assert "api-1 40\u00a0%" in said(chart.svg)
    assert "57.1\u00a0%" in said(chart.svg)  # too narrow for the name
    assert chart.label == (
        "Shares of api, 01:17 to 02:17 UTC: at first api-1 44.4\u00a0%, api-2 33.3\u00a0%, api-3 11.1\u00a0%, api-4 11.1\u00a0%; "
        "after 2 changes api-1 57.1\u00a0%, api-3 28.6\u00a0%, api-4 14.3\u00a0%."
    )


def test_the_hatch_is_as_high_as_what_was_received() -> None:
    svg = parsed(shares_band(SEGMENTS, ORDER, HOUR, subject="api").svg)
    hatched = [float(each.attrib["height"]) for each in svg.iter("rect") if each.attrib.get("fill") == "url(#hatch)"]

    assert hatched == pytest.approx([PLOT * part for part in (0.1714, 0.0857, 0.0429)], abs=0.02)


def test_the_last_move_may_be_an_earlier_one() -> None:
    later = (
        *SEGMENTS[:2],
        Shares(MOVED, MOVED + timedelta(minutes=1), {"api-1": 10_000}),
        Shares(MOVED + timedelta(minutes=1), HOUR.end, {"api-1": 9000}),
    )
    svg = shares_band(later, ORDER, HOUR, subject="api", moved_at=MOVED).svg

    assert svg.count("url(#hatch)") == 2


def test_a_gap_is_track_and_says_that_nothing_is_known() -> None:
    gap = (SEGMENTS[0], SEGMENTS[2])
    chart = shares_band(gap, ORDER, HOUR, subject="api")

    assert all(d.count("M") == 2 for d in paths(chart.svg, "t1"))
    assert "not recorded" in chart.svg


def test_without_any_record_the_track_stays_empty_and_says_so() -> None:
    chart = shares_band((), ORDER, HOUR, subject="api")

    assert [paths(chart.svg, f"t{i}") for i in range(1, 7)] == [[]] * 6
    assert "nothing recorded" in said(chart.svg)
    assert chart.table.rows == ()


def test_of_more_than_six_nodes_the_smallest_are_one_layer() -> None:
    segment = Shares(START, HOUR.end, {f"n{i}": 100 + (i % 4) * 500 for i in range(9)})
    bands = layers([f"n{i}" for i in range(9)], (segment,))

    assert [layer.name for layer in bands] == ["n1", "n2", "n3", "n6", "n7", "4 others"]
    assert [layer.tint for layer in bands] == [1, 2, 3, 4, 5, 6]
    assert sum(layer.of(segment.points) for layer in bands) == sum(segment.points.values())


def test_thousands_of_changes_are_averaged_and_keep_their_sum() -> None:
    many = [
        Shares(
            START + i * timedelta(seconds=1),
            START + (i + 1) * timedelta(seconds=1),
            {"a": 6000 + i % 2 * 2000, "b": 4000 - i % 2 * 2000},
        )
        for i in range(3600)
    ]
    fit = fitted(many, HOUR)

    assert len(fit) <= MOST
    assert all(sum(each.points.values()) == pytest.approx(10_000, abs=2) for each in fit)
    assert len(shares_band(many, ("a", "b"), HOUR, subject="api").svg) < 60_000


def test_pins_say_who_it_was_and_the_newest_keeps_its_words() -> None:
    crowd = [Pin(MOVED + timedelta(seconds=i), f"move number {i} of many in a row") for i in range(20)]
    chart = shares_band(SEGMENTS, ORDER, HOUR, subject="api", pins=[*PINS, *crowd])

    assert len(paths(chart.svg, "f-warn")) == 21
    assert len(paths(chart.svg, "f-hand")) == 1
    assert sum(text.startswith("move number") for text in said(chart.svg)) <= 1
    assert len(chart.notes) == 22


def test_a_pin_outside_of_the_span_is_not_drawn() -> None:
    chart = shares_band(SEGMENTS, ORDER, HOUR, subject="api", pins=[Pin(START - timedelta(seconds=1), "before")])

    assert "before" not in chart.svg
    assert chart.notes == ()


def test_times_carry_their_instant_for_the_readers_zone() -> None:
    svg = parsed(shares_band(SEGMENTS, ORDER, HOUR, subject="api").svg)
    times = {each.text: (each.attrib["data-at"], each.attrib["data-form"]) for each in svg.iter("text") if "data-at" in each.attrib}

    assert times["01:20"] == ("2026-11-27T01:20:00Z", "minute")
    assert "now" in said(shares_band(SEGMENTS, ORDER, HOUR, subject="api").svg)


def test_the_table_holds_each_segment() -> None:
    table = shares_band(SEGMENTS, ORDER, HOUR, subject="api").table

    assert table.headings == ("From (UTC)", "To (UTC)", *ORDER)
    assert table.rows[-1] == ("2026-11-27 02:13:17", "2026-11-27 02:17:29", "57.1\u00a0%", "0\u00a0%", "28.6\u00a0%", "14.3\u00a0%")
