"""The same report as CSV and as JSON, with its rules."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime

from nodes.reports.figures import Report, Row
from nodes.reports.rules import RULES

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet would run a cell that begins so


def as_json(report: Report) -> str:
    """One object: range, rules by figure, rows as in `Row` (seconds and ratios)."""
    return json.dumps(
        {
            "start": report.start.isoformat(),
            "end": report.end.isoformat(),
            "rules": {figure.key: figure.rule for figure in RULES},
            "rows": [asdict(row) for row in report.rows],
        },
        indent=1,
        default=datetime.isoformat,
    )


def as_csv(report: Report) -> str:
    """A line per row, seconds and ratios as numbers; the rules follow as comment lines of two cells."""
    names = [each.name for each in fields(Row)]
    rows = [[report.start, report.end, *(getattr(row, name) for name in names)] for row in report.rows]
    return csv_of(["start", "end", *names], [*rows, *([f"# {figure.key}", figure.rule] for figure in RULES)])


def csv_of(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, instants in ISO 8601; no cell is a formula for the spreadsheet that opens it."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    writer.writerows(["" if cell is None else _inert(cell) for cell in row] for row in rows)
    return out.getvalue()


def _inert(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
