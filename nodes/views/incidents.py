"""Incidents, one incident, and the record of one decision."""

from __future__ import annotations

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.forms.filters import Cursor, IncidentFilter
from nodes.models import Failover, Incident
from nodes.screens.decisions import decision_records
from nodes.screens.history_lines import incident_rows
from nodes.views.responses import older_address, page, signed_in

PAGE = 30  # incidents


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
def failover(request: HttpRequest, pk: int) -> HttpResponse:
    """The decision record: what was observed, who was considered, which guards were asked, what moved."""
    found = decision_records(Failover.objects.filter(pk=pk))
    if not found:
        raise Http404
    return page(request, "nodes/failover.html", {"decision": found[0], "now": timezone.now()})
