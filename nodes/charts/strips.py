"""Strips: the last day in quarters of an hour, the last checks, and the days of an uptime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

from django.utils.safestring import SafeString

from nodes.charts import texts
from nodes.charts.frame import across, picture, stretched
from nodes.charts.grades import CLASSES, Grade, Targets
from nodes.charts.markup import box, element, path
from nodes.charts.values import Chart, Point, Table
from nodes.engine.enums import Verdict

CELLS, CELL = 96, timedelta(minutes=15)
_DAY_HEIGHT, _CELL_WIDTH = 16, 2  # px
_CHECKS, _CHECK_STEP, _CHECK_HEIGHT = 40, 3, 14  # px: 2 wide, 1 between
_UPTIME_HEIGHT = 28  # px
_BAR = 0.8  # of its step


class DayState(StrEnum):
    """What a pool or a node was for most of a quarter of an hour, or the worst that it was."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    MAINTENANCE = "maintenance"
    NO_DATA = "no data"


# class, and the bars of a cell as (top, height) in px: height carries severity
_STATES: Mapping[DayState, tuple[str, tuple[tuple[float, float], ...]]] = {
    DayState.HEALTHY: ("f-ok", ((14, 2),)),
    DayState.DEGRADED: ("f-warn", ((7, 9),)),
    DayState.DOWN: ("f-bad", ((0, 16),)),
    DayState.MAINTENANCE: ("f-hand", ((10.5, 1.25), (14.75, 1.25))),
    DayState.NO_DATA: ("f-off", ((15.25, 0.75),)),
}
_VERDICTS: Mapping[Verdict, tuple[str, float, float]] = {
    Verdict.PASS: ("f-ok", 9, 5),
    Verdict.WARN: ("f-warn", 5, 9),
    Verdict.FAIL: ("f-bad", 0, 14),
    Verdict.UNKNOWN: ("f-off", 13, 1),
}
_BARS: Mapping[Grade, int] = {Grade.FULL: 10, Grade.UNDER: 16, Grade.MISSED: 22, Grade.BAD: 28, Grade.UNMEASURED: 1}  # px high


def strip_24h(cells: Sequence[DayState], start: datetime, *, subject: str, walked: bool = False) -> Chart:
    """96 cells from `start` on (a full quarter of an hour), one path per state, 192 × 16 px; ValueError for another number.

    `walked` gives it a tooltip, one stop per run of equal cells.
    """
    if len(cells) != CELLS:
        raise ValueError(f"a day has {CELLS} cells, not {len(cells)}")
    return _strip_24h(tuple(cells), start, subject, walked)


@lru_cache(maxsize=1024)
def _strip_24h(cells: tuple[DayState, ...], start: datetime, subject: str, walked: bool) -> Chart:
    runs = _runs(cells)
    spans = [(start + first * CELL, start + (first + length) * CELL, state.value) for state, first, length in runs]
    label = f"{subject}, 24 h: {_day_said(cells)}."
    points = [Point(first / CELLS, texts.iso(start + first * CELL), (f"{state} for {_long(n)}",)) for state, first, n in runs]
    svg = _sized(_day_paths(runs), CELLS * _CELL_WIDTH, _DAY_HEIGHT, "day", label, points if walked else [])
    rows = tuple((texts.full(begun), texts.full(over), state) for begun, over, state in spans)
    return Chart(svg, label, Table(("From (UTC)", "To (UTC)", "State"), rows))


def checks_strip(verdicts: Sequence[Verdict], *, tips: Sequence[str] = (), times: Sequence[datetime] = ()) -> SafeString:
    """The last 40 checks, oldest first, the newest at the right edge, 119 × 14 px; `tips` and `times` are one per check."""
    shown = tuple(verdicts)[-_CHECKS:]
    label = f"Last {texts.counted(len(shown), 'check')}: {_counts(shown) or 'none yet'}"
    width = _CHECKS * _CHECK_STEP - 1
    first = _CHECKS - len(shown)
    told = tuple(tips)[-_CHECKS:]
    began = [texts.iso(each) for each in tuple(times)[-_CHECKS:]] or [""] * len(told)
    points = [
        Point((first + i) * _CHECK_STEP / width, at, (verdict, text))
        for i, (verdict, text, at) in enumerate(zip(shown, told, began, strict=False))
    ]
    return _sized(_check_paths(shown), width, _CHECK_HEIGHT, "checks", label, points)


def availability_bars(
    days: Sequence[tuple[date, float | None]], *, subject: str, targets: Targets | None = None, each: str = "day"
) -> Chart:
    """The uptime of each day, or other stretch (0 to 1, None for not measured), as a bar, 28 px high: the worse, the taller."""
    judged = targets or Targets()
    step = 1 / max(1, len(days))
    graded = [(i, day, value, judged.grade(value)) for i, (day, value) in enumerate(days)]
    paths = []
    for grade, kind in CLASSES.items():
        height = _BARS[grade]
        bars = (
            box(across(i * step), _UPTIME_HEIGHT - height, across(step * _BAR), height) for i, *_, found in graded if found is grade
        )
        paths.append(path(kind, "".join(bars)))
    known = [value for _, value in days if value is not None]
    mean = f"{texts.uptime(sum(known) / len(known))} on average" if known else "nothing measured"
    worst = min(known, default=1)
    label = f"Uptime of {subject}, {texts.counted(len(days), each)}: {mean}, worst {each} {texts.uptime(worst)}."
    points = [Point(i * step, _began(day), (_uptime(value),)) for i, day, value, _ in graded]
    svg = picture("chart uptime", _UPTIME_HEIGHT, label, stretched(0, _UPTIME_HEIGHT, *paths), points=points)
    rows = tuple((texts.full(day) if isinstance(day, datetime) else day.isoformat(), _uptime(value)) for day, value in days)
    return Chart(svg, label, Table((f"{each.capitalize()} (UTC)", "Uptime"), rows))


def _began(day: date) -> str:
    return texts.iso(day) if isinstance(day, datetime) else day.isoformat()


def _uptime(value: float | None) -> str:
    return "not measured" if value is None else texts.uptime(value)


def _sized(inside: str, width: int, height: int, kind: str, label: str, points: Sequence[Point]) -> SafeString:
    """A strip with a size of its own, which a stylesheet may widen."""
    inner = {"width": "100%", "height": "100%", "viewBox": f"0 0 {width} {height}", "preserveAspectRatio": "none"}
    return picture(f"strip {kind}", height, label, element("svg", inner, inside) if inside else "", points=points, width=width)


def _runs(cells: tuple[DayState, ...]) -> tuple[tuple[DayState, int, int], ...]:
    """State, first cell, number of cells."""
    runs, first = [], 0
    for state, group in groupby(cells):
        length = len(list(group))
        runs.append((state, first, length))
        first += length
    return tuple(runs)


def _day_paths(runs: tuple[tuple[DayState, int, int], ...]) -> SafeString:
    paths = SafeString()
    for state, (kind, bars) in _STATES.items():
        mine = ((first, length) for each, first, length in runs if each is state)
        boxes = (box(f * _CELL_WIDTH, top, n * _CELL_WIDTH, height) for f, n in mine for top, height in bars)
        paths += path(kind, "".join(boxes))
    return paths


@lru_cache(maxsize=4096)
def _check_paths(shown: tuple[Verdict, ...]) -> SafeString:
    first = _CHECKS - len(shown)
    paths = SafeString()
    for verdict, (kind, top, height) in _VERDICTS.items():
        bars = (box((first + i) * _CHECK_STEP, top, 2, height) for i, each in enumerate(shown) if each is verdict)
        paths += path(kind, "".join(bars))
    return paths


def _counts(shown: Sequence[Verdict]) -> str:
    return ", ".join(f"{shown.count(verdict)} {verdict}" for verdict in _VERDICTS if verdict in shown)


def _day_said(cells: tuple[DayState, ...]) -> str:
    if len(set(cells)) == 1:
        return f"{cells[0]} all the time"
    return ", ".join(f"{state} {_long(cells.count(state))}" for state in _STATES if state in cells)


def _long(cells: int) -> str:
    hours, minutes = divmod(cells * 15, 60)
    return " ".join(text for text in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if text)
