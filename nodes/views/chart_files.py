"""Charts as SVG files and as tables; a PNG is made of the file by the browser (`chart.js`)."""

from __future__ import annotations

from typing import Protocol

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify

from nodes.charts import Chart, Theme, standalone
from nodes.series import Range

CHARTS = "charts"  # id of the element of a page that asks for its charts alone
_TITLES = {"shares": "Shares over time", "latency": "Latency", "availability": "Availability"}


class Charts(Protocol):
    """Charts by name, all over one range."""

    @property
    def range(self) -> Range: ...


def _chart(charts: Charts, name: str) -> Chart:
    found = getattr(charts, name, None) if name in _TITLES else None
    if not isinstance(found, Chart):
        raise Http404
    return found


def chart_file(request: HttpRequest, charts: Charts, chart: str, *, of: str, name: str) -> HttpResponse:
    """The picture as a document of its own; `?theme=dark` for a dark one."""
    theme = Theme.DARK if request.GET.get("theme") == "dark" else Theme.LIGHT
    title = f"{_TITLES.get(chart, '')} of {of}"
    document = standalone(_chart(charts, chart), title=title, subtitle=f"the last {charts.range.words}", theme=theme)
    response = HttpResponse(document, content_type="image/svg+xml")
    response["Content-Disposition"] = f'inline; filename="{slugify(name)}-{chart}-{charts.range}.svg"'
    return response


def chart_table(request: HttpRequest, charts: Charts, chart: str, *, of: str, back: str) -> HttpResponse:
    """The figures behind the picture, newest last as in the picture."""
    found = _chart(charts, chart)
    context = {"title": f"{_TITLES[chart]} of {of}", "chart": found, "span": charts.range, "back": back, "of": of}
    return render(request, "nodes/chart_table.html", context)
