"""A node's page, and its charts as files and tables."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.models import Node
from nodes.screens.node_charts import NodeKey, node_charts
from nodes.series import Range
from nodes.views.chart_files import CHARTS, chart_file, chart_table
from nodes.views.responses import is_fragment, page, signed_in


@require_safe
@signed_in
def node(request: HttpRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    if is_fragment(request) and request.headers.get("HX-Target") == CHARTS:
        found = get_object_or_404(Node, pk=pk)
        return render(request, "nodes/node.html#cards", {"node": found, **screens.node_cards(found, _range(request), now)})
    screen = screens.node(pk, now)
    if screen is None:
        raise Http404
    cards = screens.node_cards(screen.context["node"], _range(request), now)
    return page(request, "nodes/node.html", {**screen.context, **cards})


def _range(request: HttpRequest) -> Range:
    return Range.asked(request.GET.get("range"), Range.HOUR)


@require_safe
@signed_in
def node_svg(request: HttpRequest, pk: int, chart: str) -> HttpResponse:
    """A chart of the node as a file."""
    found = get_object_or_404(Node, pk=pk)
    charts = node_charts(NodeKey(found.pk, found.name, _range(request)), timezone.now())
    return chart_file(request, charts, chart, of=found.name, name=found.name)


@require_safe
@signed_in
def node_table(request: HttpRequest, pk: int, chart: str) -> HttpResponse:
    """The figures behind a chart of the node."""
    found = get_object_or_404(Node, pk=pk)
    charts = node_charts(NodeKey(found.pk, found.name, _range(request)), timezone.now())
    return chart_table(request, charts, chart, of=found.name, back=found.get_absolute_url())
