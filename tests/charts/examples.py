"""The afternoon of one pool, and hypothesis strategies for any other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from nodes.charts import Cause, CellState, HeatRow, Latency, Pin, Shares, Span

START = datetime(2026, 11, 27, 1, 17, 29, tzinfo=UTC)
HOUR = Span(START, START + timedelta(hours=1), live=True)
MOVED = datetime(2026, 11, 27, 2, 13, 17, tzinfo=UTC)
WEIGHED = datetime(2026, 11, 27, 1, 38, tzinfo=UTC)
ORDER = ("api-1", "api-2", "api-3", "api-4")
SEGMENTS = (
    Shares(START - timedelta(minutes=9), WEIGHED, {"api-1": 4444, "api-2": 3333, "api-3": 1111, "api-4": 1112}),
    Shares(WEIGHED, MOVED, {"api-1": 4000, "api-2": 3000, "api-3": 2000, "api-4": 1000}),
    Shares(MOVED, HOUR.end, {"api-1": 5714, "api-3": 2857, "api-4": 1429}),
)
PINS = (
    Pin(WEIGHED, "mara changed a weight", ("api-3: 100 → 200",), Cause.PERSON),
    Pin(MOVED, "api-2 failed, its 30 % moved", ("connection refused × 3", "all guards passed · epoch 214")),
)
MINUTE = timedelta(minutes=1)

names = st.text(min_size=1, max_size=12)
instants = st.integers(0, 3_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
lengths = st.integers(1, 4 * 365 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
spans = st.builds(lambda start, length, live: Span(start, start + length, live=live), instants, lengths, st.booleans())
parts = st.floats(0, 1)
seconds = st.none() | st.floats(0, 60)


@st.composite
def shared(draw: st.DrawFn) -> tuple[Span, list[str], list[Shares]]:
    """A span, an order, and segments that may reach beyond it, overlap and leave gaps."""
    span = draw(spans)
    order = draw(st.lists(names, min_size=1, max_size=9, unique=True))
    points = st.dictionaries(st.sampled_from(order), st.integers(0, 10_000), max_size=9)
    cuts = draw(st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(0.001, 0.7), points), max_size=8))
    return span, order, [Shares(span.start + a * span.length, span.start + (a + b) * span.length, each) for a, b, each in cuts]


@st.composite
def measured(draw: st.DrawFn) -> list[Latency]:
    """Minutes of the hour, some missing, some in which nothing passed."""
    minutes = sorted(draw(st.sets(st.integers(0, 59), max_size=40)))
    return [Latency(START + minute * MINUTE, draw(seconds), draw(seconds), draw(seconds)) for minute in minutes]


def heat_rows(pools: int, days: int) -> tuple[list[HeatRow], list[date]]:
    values = (None, 1.0, 0.9999, 0.999, 0.99)
    rows = [HeatRow(f"pool-{i}", tuple(values[(i + j) % 5] for j in range(days)), 0.999) for i in range(pools)]
    return rows, [date(2026, 10, 28) + timedelta(days=j) for j in range(days)]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def paths(svg: str, kind: str) -> list[str]:
    """The `d` of the paths of a class."""
    return [each.attrib["d"] for each in parsed(svg).iter() if kind in each.attrib.get("class", "").split() and "d" in each.attrib]


def said(svg: str) -> list[str]:
    return [each.text or "" for each in parsed(svg).iter() if each.tag.endswith("text")]


ALL_STATES = tuple(CellState)
