"""The page of events, filtered and paged by its query string."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes.forms.filters import Cursor, EventFilter
from nodes.models import Event
from nodes.screens.history_lines import event_lines
from nodes.views.responses import older_address, page, signed_in

PAGE = 50  # events


@require_safe
@signed_in
def events(request: HttpRequest) -> HttpResponse:
    """Newest first, by instant and number, so that no event is skipped or shown twice while others come in."""
    form = EventFilter(request.GET)
    found = form.apply(Event.objects.all()) if form.is_valid() else Event.objects.none()
    position = Cursor(request.GET).position()
    if position is not None:
        at, number = position
        found = found.filter(Q(at__lt=at) | Q(at=at, pk__lt=number))
    lines = event_lines(found.order_by("-at", "-pk")[: PAGE + 1])
    older = older_address(request, lines[PAGE - 1].at, lines[PAGE - 1].id) if len(lines) > PAGE else ""
    only_node = form.cleaned_data.get("node")
    context = {
        "form": form,
        "only_node": only_node,
        "events": lines[:PAGE],
        "older": older,
        "first_page": position is None,
        "now": timezone.now(),
    }
    return page(request, "nodes/events.html", context)
