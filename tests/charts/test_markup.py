"""What all charts promise: well-formed, escaped, no styles, one look in page and file, a sentence and a table."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.charts import (
    Cause,
    CellState,
    Chart,
    DayState,
    Latency,
    NodeCell,
    Part,
    Pin,
    Shares,
    Theme,
    availability_bars,
    cells,
    checks_strip,
    hatch,
    heat_map,
    latency_lines,
    legend_mark,
    share_bar,
    shares_band,
    standalone,
    strip_24h,
)
from nodes.charts.palette import CLASSES
from nodes.engine.enums import Verdict
from tests.charts.examples import ALL_STATES, HOUR, MINUTE, MOVED, ORDER, PINS, SEGMENTS, START, heat_rows, parsed, said

SHEET = (Path(__file__).resolve().parents[2] / "failover_console" / "static" / "console.css").read_text()
ROOTS = {"chart", "band", "gutter", "heat", "uptime", "strip", "day", "checks", "cells", "bar", "hatch-defs"}
ON_PAGE_ONLY = {"narrow"}


@cache
def charts() -> dict[str, Chart]:
    buckets = [Latency(START + i * MINUTE, 0.016, 0.038, 0.058) for i in range(60) if i != 30]
    rows, days = heat_rows(5, 30)
    wide = {f"n{i}": 1666 for i in range(6)}
    return {
        "band": shares_band(SEGMENTS, ORDER, HOUR, subject="api", pins=PINS),
        "six": shares_band([Shares(START, MOVED, wide), Shares(MOVED, HOUR.end, {"n0": 9000})], tuple(wide), HOUR, subject="web"),
        "latency": latency_lines(buckets, HOUR, every=MINUTE, subject="api", failed=[MOVED], pins=PINS),
        "heat": heat_map(rows, days),
        "uptime": availability_bars(list(zip(days, rows[0].values, strict=True)), subject="api"),
        "day": strip_24h([state for state in DayState for _ in range(19)] + [DayState.HEALTHY], START, subject="api", walked=True),
    }


@cache
def pictures() -> dict[str, str]:
    """Every builder once, with every state in it."""
    nodes = [NodeCell(f"n{i}", state) for i, state in enumerate(ALL_STATES)]
    small = {
        "cells": cells(nodes, walked=True),
        "many": cells(nodes * 6),
        "checks": checks_strip([*Verdict] * 4, tips=["200 in 12 ms"] * 16),
        "share": share_bar(Part("api-1", 5714, 1714)),
        "hatch": hatch(),
    }
    legends = {f"legend of {name}": legend_mark(entry.mark) for name, chart in charts().items() for entry in chart.legend}
    return {**{name: chart.svg for name, chart in charts().items()}, **small, **legends}


def classes(svg: str) -> set[str]:
    return {name for each in parsed(svg).iter() for name in each.attrib.get("class", "").split()}


@pytest.mark.parametrize("name", pictures())
def test_no_picture_has_a_style_or_a_script(name: str) -> None:
    svg = pictures()[name]
    attributes = {key for each in parsed(svg).iter() for key in each.attrib}

    assert "style" not in attributes
    assert not [key for key in attributes if key.startswith("on")]
    assert not {each.tag for each in parsed(svg).iter()} & {"style", "script", "foreignObject"}


@pytest.mark.parametrize("name", pictures())
def test_every_class_is_in_the_sheet_and_among_those_of_files(name: str) -> None:
    used = classes(pictures()[name]) - ROOTS

    assert {each for each in used if not re.search(rf"\.{each}(?![\w-])", SHEET)} == set()
    assert used - set(CLASSES) - ON_PAGE_ONLY == set()


def test_every_class_of_files_is_drawn_somewhere() -> None:
    drawn = set().union(*(classes(svg) for svg in pictures().values()))

    assert set(CLASSES) - drawn == {"o6"} - drawn


@pytest.mark.parametrize("name", [name for name in pictures() if name != "hatch" and not name.startswith("legend")])
def test_every_picture_says_in_words_what_it_shows(name: str) -> None:
    root = parsed(pictures()[name])

    assert root.attrib["role"] == "img"
    assert len(root.attrib["aria-label"]) > 3
    assert ("tabindex" in root.attrib) == ("data-points" in root.attrib)


@pytest.mark.parametrize("name", charts())
def test_every_chart_has_its_table(name: str) -> None:
    table = charts()[name].table

    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.headings)}


@given(st.text(max_size=30))
def test_names_are_escaped_whatever_they_hold(text: str) -> None:
    name = f"<script>\x00&\"'{text}"
    pin = Pin(MOVED, name, (name, name), Cause.PERSON)
    chart = shares_band([Shares(START, HOUR.end, {name: 10_000})], [name], HOUR, subject=name, pins=[pin])

    assert "<script" not in chart.svg
    assert parsed(chart.svg).attrib["aria-label"].startswith("Shares of <script>&\"'")
    assert parsed(standalone(chart, title=name, subtitle=name)) is not None
    assert "<script" not in cells([NodeCell(name, CellState.FAILED, name)], walked=True)


@pytest.mark.parametrize("theme", Theme)
@pytest.mark.parametrize("name", charts())
def test_a_file_needs_nothing_from_outside(name: str, theme: Theme) -> None:
    document = standalone(charts()[name], title="Shares of api", subtitle="27 Nov 2026", theme=theme)
    root = parsed(document)

    assert root.attrib["width"] == "1200"
    assert not re.search(r"class=|style=|<style|data-|tabindex|href|var\(", document)
    assert said(document)[:2] == ["Shares of api", "27 Nov 2026"]
    assert "now" not in said(document)


def test_a_file_is_light_or_dark() -> None:
    light, dark = (standalone(charts()["band"], title="api", subtitle="", theme=theme) for theme in Theme)

    assert 'fill="#ffffff"' in light.partition("<defs>")[0]
    assert 'fill="#12161c"' in dark.partition("<defs>")[0]
    assert "02:17 UTC" in light


def test_a_file_names_the_rows_of_a_heat_map() -> None:
    assert "pool-4" in said(standalone(charts()["heat"], title="Availability", subtitle=""))


def test_the_tokens_of_files_are_colours() -> None:
    document = standalone(charts()["band"], title="api", subtitle="")
    painted = {each.attrib[key] for each in parsed(document).iter() for key in ("fill", "stroke") if key in each.attrib}

    assert {value for value in painted if not re.fullmatch(r"#[0-9a-f]{6}|none|url\(#hatch\)", value)} == set()


def test_a_span_of_a_year_names_its_years() -> None:
    year = type(HOUR)(HOUR.end - timedelta(days=365), HOUR.end)

    assert "27 Nov 2025 to 27 Nov 2026" in shares_band((), ORDER, year, subject="api").label
