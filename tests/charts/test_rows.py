"""Heat map, strips, cells and bars: each state its height, each count right, and little markup for what is well."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.charts import (
    CellState,
    DayState,
    Grade,
    HeatRow,
    NodeCell,
    Part,
    Targets,
    availability_bars,
    cells,
    checks_strip,
    heat_map,
    share_bar,
    shares_bar,
    strip_24h,
)
from nodes.engine.enums import Verdict
from tests.charts.examples import START, heat_rows, parsed, paths, said


@given(st.lists(st.sampled_from(CellState), max_size=26))
def test_cells_count_every_node(states: list[CellState]) -> None:
    svg = cells([NodeCell(f"n{i}", state) for i, state in enumerate(states)])
    counted = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", parsed(svg).attrib["aria-label"])}

    assert counted == {state.value: states.count(state) for state in CellState if state in states}
    assert "".join(paths(svg, "f-ok")).count("z") == states.count(CellState.HEALTHY)


@given(st.integers(1, 1000))
def test_healthy_nodes_are_one_path_however_many(count: int) -> None:
    svg = cells([NodeCell(f"n{i}", CellState.HEALTHY) for i in range(count)])

    assert len(list(parsed(svg).iter("path"))) == 1
    assert len(svg) < 800


@pytest.mark.parametrize(
    ("count", "drawn", "text"), [(12, 12, []), (13, 13, []), (26, 26, []), (27, 12, ["+15"]), (50, 12, ["+38"])]
)
def test_of_many_nodes_the_worst_are_drawn(count: int, drawn: int, text: list[str]) -> None:
    nodes = [NodeCell(f"n{i}", CellState.FAILED if i == count - 1 else CellState.HEALTHY) for i in range(count)]
    svg = cells(nodes)

    assert "".join(paths(svg, "f-ok")).count("z") == drawn - 1
    assert len(paths(svg, "f-bad")) == 1
    assert said(svg) == text


def test_a_healthy_cell_is_lower_than_a_failed_one() -> None:
    assert paths(cells([NodeCell("a", CellState.HEALTHY)]), "f-ok") == ["M0 4h10v10h-10z"]
    assert paths(cells([NodeCell("a", CellState.FAILED)]), "f-bad") == ["M0 0h10v14h-10z"]


@given(st.lists(st.sampled_from(DayState), min_size=96, max_size=96))
def test_a_day_is_at_most_one_path_per_state(day: list[DayState]) -> None:
    svg = strip_24h(day, START, subject="api").svg

    assert len(list(parsed(svg).iter("path"))) == len(set(day))
    widths = [float(width) for width in re.findall(r"h([\d.]+)v", svg)]
    doubled = 2 * day.count(DayState.MAINTENANCE)
    assert sum(widths) == 192 + doubled


def test_a_healthy_day_is_one_line_and_says_so() -> None:
    chart = strip_24h([DayState.HEALTHY] * 96, START, subject="api")

    assert paths(chart.svg, "f-ok") == ["M0 14h192v2h-192z"]
    assert chart.label == "api, 24 h: healthy all the time."
    assert len(chart.table.rows) == 1


def test_another_number_of_cells_is_no_day() -> None:
    with pytest.raises(ValueError, match="96 cells"):
        strip_24h([DayState.HEALTHY] * 95, START, subject="api")


@given(st.lists(st.sampled_from(Verdict), max_size=60))
def test_the_newest_check_stands_at_the_right_edge(verdicts: list[Verdict]) -> None:
    svg = checks_strip(verdicts)
    starts = sorted(int(x) for x in re.findall(r"M(\d+) \d+h2v", svg))

    assert len(starts) == min(40, len(verdicts))
    assert starts[-1:] in ([], [117])


def test_a_heat_map_marks_what_colour_alone_would_tell() -> None:
    rows, days = heat_rows(5, 30)
    svg = heat_map(rows, days).svg
    drawn = {kind: "".join(paths(svg, kind)).count("z") for kind in ("h0", "h1", "h2", "h3")}

    assert drawn == {"h0": 30, "h1": 30, "h2": 30, "h3": 30}
    assert len(list(parsed(svg).iter("circle"))) == drawn["h2"]
    assert len(paths(svg, "cross")) == drawn["h3"]
    assert len(paths(svg, "hn")) == 30


def test_a_heat_map_is_17_px_a_row_and_names_first_and_last_day() -> None:
    rows, days = heat_rows(12, 30)
    chart = heat_map(rows, days)

    assert parsed(chart.svg).attrib["height"] == "221"
    assert [said(chart.svg)[i] for i in (0, -1)] == ["28 Oct", "26 Nov"]
    assert [side.left for side in chart.sides] == [row.name for row in rows]


def test_a_row_without_a_value_for_each_day_is_refused() -> None:
    with pytest.raises(ValueError, match="one value per day"):
        heat_map([HeatRow("api", (1.0,), 1.0)], [])


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        (1.0, Grade.FULL),
        (0.99999, Grade.UNDER),
        (0.9995, Grade.UNDER),
        (0.9994, Grade.MISSED),
        (0.994, Grade.BAD),
        (None, Grade.UNMEASURED),
    ],
)
def test_a_day_is_graded_by_the_target(value: float | None, grade: Grade) -> None:
    assert Targets().grade(value) is grade


def test_the_worse_a_day_the_taller_its_bar() -> None:
    values = (1.0, 0.9999, 0.999, 0.9, None)
    chart = availability_bars([(date(2026, 11, 1) + timedelta(days=i), value) for i, value in enumerate(values)], subject="api")
    heights = [float(re.findall(r"v([\d.]+)", paths(chart.svg, kind)[0])[0]) for kind in ("hn", "h0", "h1", "h2", "h3")]

    assert heights == sorted(heights)
    assert chart.table.rows[1] == ("2026-11-02", "99.990\u00a0%")


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), max_size=9))
def test_a_bar_of_shares_fills_no_more_than_its_track(parts: list[tuple[int, int]]) -> None:
    svg = parsed(shares_bar(tuple(Part(f"n{i}", *each) for i, each in enumerate(parts))))
    drawn = [each for each in svg.iter("rect") if re.match(r"t\d", each.attrib.get("class", ""))]
    ends = [float(each.attrib["x"][:-1]) + float(each.attrib["width"][:-1]) for each in drawn]

    assert len(drawn) == sum(points > 0 for points, _ in parts)
    assert max(ends, default=0) == pytest.approx(100 * min(1, sum(points for points, _ in parts) / 10_000), abs=0.1)


def test_a_node_without_a_share_keeps_its_tint_for_the_others() -> None:
    svg = shares_bar((Part("a", 6000, 2000), Part("b", 0), Part("c", 4000, 1000)))

    assert re.findall(r'class="(t\d)"', svg) == ["t1", "t3"]
    assert svg.count("url(#hatch)") == 2
    assert parsed(svg).attrib["aria-label"] == "Shares: a 60\u00a0%, c 40\u00a0%"


def test_no_share_is_an_empty_track() -> None:
    assert [each.attrib["class"] for each in parsed(share_bar(Part("a", 0))).iter("rect")] == ["tr"]
