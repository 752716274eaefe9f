"""The history as figures, each with the rule by which it was counted: `spans` is the arithmetic, `rolled`
and `figures` are the queries."""

from nodes.reports.calendar import Calendar, calendar
from nodes.reports.export import as_csv, as_json, csv_of
from nodes.reports.figures import LONGEST, Report, Row, report
from nodes.reports.offenders import Offender, offenders
from nodes.reports.rules import GROUPS, RULES, Figure, group
from nodes.reports.summary import Summary, summary

__all__ = [
    "GROUPS",
    "LONGEST",
    "RULES",
    "Calendar",
    "Figure",
    "Offender",
    "Report",
    "Row",
    "Summary",
    "as_csv",
    "as_json",
    "calendar",
    "csv_of",
    "group",
    "offenders",
    "report",
    "summary",
]
