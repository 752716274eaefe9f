"""Charts as SVG: values in, markup with its sentence and its table out; no clock, no database, no request."""

from nodes.charts.band import shares_band
from nodes.charts.bars import Part, share_bar, shares_bar
from nodes.charts.cells import CellState, NodeCell, cells
from nodes.charts.download import Theme, standalone
from nodes.charts.frame import hatch
from nodes.charts.grades import Grade, Targets
from nodes.charts.heat import HeatRow, heat_map
from nodes.charts.legend import legend_mark
from nodes.charts.lines import Latency, latency_lines
from nodes.charts.stack import Shares
from nodes.charts.strips import DayState, availability_bars, checks_strip, strip_24h
from nodes.charts.values import Cause, Chart, LegendEntry, Pin, Span, Table

__all__ = [
    "Cause",
    "CellState",
    "Chart",
    "DayState",
    "Grade",
    "HeatRow",
    "Latency",
    "LegendEntry",
    "NodeCell",
    "Part",
    "Pin",
    "Shares",
    "Span",
    "Table",
    "Targets",
    "Theme",
    "availability_bars",
    "cells",
    "checks_strip",
    "hatch",
    "heat_map",
    "latency_lines",
    "legend_mark",
    "share_bar",
    "shares_band",
    "shares_bar",
    "standalone",
    "strip_24h",
]
