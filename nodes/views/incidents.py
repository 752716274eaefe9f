"""Incidents, one incident, and the record of one decision."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.forms.filters import Cursor, IncidentFilter
from nodes.models import Event, Failover, Incident
from nodes.screens.decisions import decision_records
from nodes.screens.history_lines import event_lines, incident_rows
from nodes.views.responses import older_address, page, signed_in

PAGE = 30  # incidents
HISTORY_PAGE = 50  # decisions or events of one incident


@require_safe
@signed_in
def incidents(request: HttpRequest) -> HttpResponse:
    form = IncidentFilter(request.GET)
    found = form.apply(Incident.objects.all()) if form.is_valid() else Incident.objects.none()
    position = Cursor(request.GET).position()
    if position is not None:
        at, number = position
        found = found.filter(Q(opened_at__lt=at) | Q(opened_at=at, pk__lt=number))
    rows = incident_rows(found.order_by("-opened_at", "-pk")[: PAGE + 1])
    older = older_address(request, rows[PAGE - 1].opened_at, rows[PAGE - 1].id) if len(rows) > PAGE else ""
    context = {"form": form, "incidents": rows[:PAGE], "older": older, "first_page": position is None, "now": timezone.now()}
    return page(request, "nodes/incidents.html", context)


@require_safe
@signed_in
def incident(request: HttpRequest, pk: int) -> HttpResponse:
    screen = screens.incident(pk, timezone.now())
    if screen is None:
        raise Http404
    return page(request, "nodes/incident.html", screen.context)


@require_safe
@signed_in
def incident_decisions(request: HttpRequest, pk: int) -> HttpResponse:
    """All decisions of an incident, in pages."""
    shown = _page(request, pk, Failover.objects.all(), "What was decided, and why", "decisions")
    return render(request, "nodes/incident_history.html", shown | {"decisions": decision_records(shown["page"].object_list)})


@require_safe
@signed_in
def incident_events(request: HttpRequest, pk: int) -> HttpResponse:
    """All events of an incident, in pages."""
    shown = _page(request, pk, Event.objects.all(), "Timeline", "events")
    return render(request, "nodes/incident_history.html", shown | {"events": event_lines(shown["page"].object_list)})


def _page(request: HttpRequest, pk: int, rows: QuerySet[Any], title: str, what: str) -> dict[str, Any]:
    """One page of an incident's rows, newest first, counted; a page that there is not is the nearest one."""
    found = get_object_or_404(Incident, pk=pk)
    shown = Paginator(rows.filter(incident=found).order_by("-at", "-pk"), HISTORY_PAGE).get_page(request.GET.get("page"))
    return {
        "incident": found, "title": title, "what": what, "page": shown,
        "first": shown.start_index(), "last": shown.end_index(), "total": shown.paginator.count,
    }  # fmt: skip  # what belongs together stays on a line


@require_safe
@signed_in
def failover(request: HttpRequest, pk: int) -> HttpResponse:
    """The decision record: what was observed, who was considered, which guards were asked, what moved."""
    found = decision_records(Failover.objects.filter(pk=pk))
    if not found:
        raise Http404
    return page(request, "nodes/failover.html", {"decision": found[0], "now": timezone.now()})
