"""The mark before a word of the legend: a small picture of the same class as in the chart."""

from __future__ import annotations

from functools import cache

from django.utils.safestring import SafeString

from nodes.charts import palette
from nodes.charts.markup import element


@cache
def legend_mark(mark: str) -> SafeString:
    """12 by 10 px."""
    kind, shape = palette.shape(mark)
    body = [element("path", {"class": kind, "d": shape})]
    if mark == palette.RECEIVED:
        body.append(element("path", {"fill": "url(#hatch)", "d": shape}))
    return element("svg", {"viewBox": "0 0 12 10", "aria-hidden": "true"}, *body)
