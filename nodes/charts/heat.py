"""Availability as a heat map: a row per pool, a cell per day, marks where colour alone would have to tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.safestring import SafeString

from nodes.charts import texts
from nodes.charts.frame import across, mark, picture, stretched
from nodes.charts.grades import CLASSES, Grade, Targets
from nodes.charts.markup import box, element, joined, path, percent_of
from nodes.charts.values import Chart, LegendEntry, Point, SideText, Table

ROW = 17  # px
_CELL = 15  # px of it
_AXIS = 17  # px below the rows
_GAP = 0.08  # of a step
_LABELS = 5


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One pool: the availability of each day (0 to 1, None for not measured) and of all."""

    name: str
    values: tuple[float | None, ...]
    total: float | None


def heat_map(rows: Sequence[HeatRow], days: Sequence[date], *, subject: str = "pools", targets: Targets | None = None) -> Chart:
    """17 px a row, in the order given; ValueError when a row has not a value for each day.

    `sides` hold name and total of each row for the page to set beside it.
    """
    if any(len(row.values) != len(days) for row in rows):
        raise ValueError("each row of a heat map has one value per day")
    judged = targets or Targets()
    graded = [[judged.grade(value) for value in row.values] for row in rows]
    height = ROW * len(rows)
    label = _sentence(rows, days, graded, subject)
    svg = picture(
        "chart heat",
        height + _AXIS,
        label,
        stretched(
            0, height, *(path(kind, _cells(graded, grade)) for grade, kind in CLASSES.items() if grade is not Grade.UNMEASURED)
        ),
        _marks(graded),
        _days(days, height + 13),
        points=list(_points(rows, days)),
    )
    table = Table(
        (subject.capitalize(), *(day.isoformat() for day in days), "All"),
        tuple((row.name, *(_written(value) for value in row.values), _written(row.total)) for row in rows),
    )
    sides = tuple(SideText(i * ROW + 12, row.name, _written(row.total)) for i, row in enumerate(rows))
    return Chart(svg, label, table, _legend(judged), sides=sides)


def _cells(graded: Sequence[Sequence[Grade]], grade: Grade) -> str:
    boxes = []
    for i, row in enumerate(graded):
        step = across(1 / len(row)) if row else 0
        boxes += [box(j * step, i * ROW, step * (1 - _GAP), _CELL) for j, each in enumerate(row) if each is grade]
    return "".join(boxes)


def _marks(graded: Sequence[Sequence[Grade]]) -> SafeString:
    """A dot, a cross or a dash in the middle of a cell, none where all is well."""
    parts = []
    for i, row in enumerate(graded):
        y = i * ROW + _CELL / 2
        for j, grade in enumerate(row):
            middle = percent_of((j + (1 - _GAP) / 2) / len(row))
            if grade is Grade.MISSED:
                parts.append(element("circle", {"class": "dot", "cx": middle, "cy": y, "r": 1.75}))
            elif grade is Grade.BAD:
                parts.append(mark(middle, y, element("path", {"class": "cross", "d": "M-3-3 3 3M3-3-3 3"})))
            elif grade is Grade.UNMEASURED:
                parts.append(mark(middle, y, element("path", {"class": "hn", "d": "M-5-.5h10v1h-10z"})))
    return joined(*parts)


def _days(days: Sequence[date], y: float) -> SafeString:
    """About five labels at equal steps, the last day among them."""
    if not days:
        return SafeString()
    step = max(1, -(-len(days) // _LABELS))
    places = [i for i in range(0, len(days), step) if i == 0 or len(days) - 1 - i >= step / 2]
    labels = [element("text", {"x": percent_of(i / len(days)), "y": y}, texts.day(days[i])) for i in places if i < len(days) - 1]
    return joined(*labels, element("text", {"x": "100%", "y": y, "text-anchor": "end"}, texts.day(days[-1])))


def _points(rows: Sequence[HeatRow], days: Sequence[date]) -> Iterator[Point]:
    for i, row in enumerate(rows):
        for j, (day, value) in enumerate(zip(days, row.values, strict=True)):
            y = i / len(rows) * (ROW * len(rows)) / (ROW * len(rows) + _AXIS)
            yield Point(j / len(days), day.isoformat(), (f"{row.name}: {_written(value)}",), y)


def _written(value: float | None) -> str:
    return "not measured" if value is None else texts.uptime(value)


def _sentence(rows: Sequence[HeatRow], days: Sequence[date], graded: Sequence[Sequence[Grade]], subject: str) -> str:
    if not rows or not days:
        return f"Availability of {subject}: nothing to show."
    bad = sum(grade is Grade.BAD for row in graded for grade in row)
    missed = sum(grade is Grade.MISSED for row in graded for grade in row)
    known = [row for row in rows if row.total is not None]
    worst = min(known, key=lambda row: row.total or 0, default=None)
    low = f"; lowest {worst.name} with {_written(worst.total)}" if worst else ""
    return (
        f"Availability of {len(rows)} {subject} on {texts.counted(len(days), 'day')} to {texts.day(days[-1])}: "
        f"{texts.counted(missed, 'day')} under the target, {bad} far under{low}."
    )


def _legend(targets: Targets) -> tuple[LegendEntry, ...]:
    target, bad = (texts.target(value) for value in (targets.target, targets.bad))
    said = ("100\u00a0%", "under 100\u00a0%", f"under {target}", f"under {bad}", "not measured")
    return tuple(LegendEntry(kind, text) for kind, text in zip(CLASSES.values(), said, strict=True))
