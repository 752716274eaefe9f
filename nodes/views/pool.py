"""A pool's page, also after it was removed, and its charts as files and tables."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.models import Pool
from nodes.screens.what_if import ids
from nodes.series import Range
from nodes.views.chart_files import CHARTS, chart_file, chart_table
from nodes.views.responses import is_fragment, page, signed_in


@require_safe
@signed_in
def pool(request: HttpRequest, slug: str) -> HttpResponse:
    now = timezone.now()
    span, lost = Range.asked(request.GET.get("range"), Range.HOUR), ids(request.GET.getlist("lose"))
    if is_fragment(request) and request.headers.get("HX-Target") == CHARTS:
        found = screens.pool_cards(slug, span, lost, now)
        if found is None:
            raise Http404
        return render(request, "nodes/pool.html#cards", found)
    screen = screens.pool(slug, now)
    if screen is None:
        gone = get_object_or_404(Pool.objects.exclude(removed_at=None), slug=slug)
        return render(request, "nodes/pool_removed.html", {"pool": gone})
    read = screen.context
    cards = screens.cards(read["pool"], read["row"], read["outlook"], span, lost, now)
    return page(request, "nodes/pool.html", {**read, **cards})


@require_safe
@signed_in
def pool_svg(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A chart of the pool as a file."""
    found = _charts(request, slug)
    return chart_file(request, found["charts"], chart, of=found["pool"].name, name=slug)


@require_safe
@signed_in
def pool_table(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """The figures behind a chart of the pool."""
    found = _charts(request, slug)
    return chart_table(request, found["charts"], chart, of=found["pool"].name, back=found["pool"].get_absolute_url())


def _charts(request: HttpRequest, slug: str) -> dict[str, Any]:
    found = screens.pool_cards(slug, Range.asked(request.GET.get("range"), Range.HOUR), (), timezone.now())
    if found is None:
        raise Http404
    return found
