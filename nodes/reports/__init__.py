"""The history as figures, each with the rule by which it was counted: `spans` is the arithmetic, `rolled`
and `figures` are the queries."""

from nodes.reports.export import as_csv, as_json
from nodes.reports.figures import LONGEST, Report, Row, report
from nodes.reports.rules import RULES, Figure

__all__ = ["LONGEST", "RULES", "Figure", "Report", "Row", "as_csv", "as_json", "report"]
