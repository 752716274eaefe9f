"""A line is drawn through what was measured and through nothing else."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import pairwise

from hypothesis import given

from nodes.charts import Chart, Latency, latency_lines
from nodes.charts.lines import PLOT
from tests.charts.examples import HOUR, MINUTE, MOVED, PINS, START, measured, parsed, paths, said


def _chart(buckets: list[Latency], **more: object) -> Chart:
    return latency_lines(buckets, HOUR, every=MINUTE, subject="api", **more)  # type: ignore[arg-type]  # passed on as they are


@given(measured())
def test_a_gap_stays_a_gap(buckets: list[Latency]) -> None:
    svg = _chart(buckets).svg
    known = [each for each in buckets if each.p50 is not None]
    joined = sum(later.at - earlier.at == MINUTE for earlier, later in pairwise(known))
    lines = "".join(paths(svg, "l50"))

    assert lines.count("M") == len(known) - joined
    assert lines.count("L") == joined


@given(measured())
def test_nothing_is_drawn_outside(buckets: list[Latency]) -> None:
    svg = _chart(buckets).svg

    for kind in ("l50", "l95", "l99"):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", "".join(paths(svg, kind))):
            assert 0 <= float(x) <= 1000
            assert 0 <= float(y) <= PLOT


@given(measured())
def test_the_tooltip_never_gives_a_gap_the_value_before_it(buckets: list[Latency]) -> None:
    points = json.loads(parsed(_chart(buckets).svg).attrib.get("data-points", "[]"))
    starts = {each.at for each in buckets}
    after_gap = sum(each.at + MINUTE not in starts and each.at + MINUTE < HOUR.end for each in buckets)

    assert sum(point[3] == "not measured" for point in points) == after_gap
    assert [point[0] for point in points] == sorted(point[0] for point in points)


def test_failed_checks_and_pins_are_in_the_picture_the_sentence_and_the_tooltip() -> None:
    buckets = [Latency(START + i * MINUTE, 0.016, 0.038, 0.058) for i in range(60)]
    chart = _chart(buckets, failed=[MOVED, MOVED + timedelta(seconds=9), START - MINUTE], pins=PINS)

    assert "".join(paths(chart.svg, "fails")).count("M") == 2
    assert chart.label.endswith("at the end p50 16\u00a0ms and p95 38\u00a0ms, highest p95 38\u00a0ms; 2 failed checks.")
    assert [(entry.text, entry.value) for entry in chart.legend][-2:] == [("p99", "58\u00a0ms"), ("failed checks", "2")]
    assert [point for point in json.loads(parsed(chart.svg).attrib["data-points"]) if "2 failed checks" in point]


def test_without_measures_it_says_so() -> None:
    chart = _chart([])

    assert chart.label == "Latency of api, 01:17 to 02:17 UTC: nothing measured."
    assert paths(chart.svg, "l50") == []
    assert "0" in said(chart.svg)
