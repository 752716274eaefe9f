"""Incidents, one incident with its post-mortem and its band, and the record of one decision."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.charts import Theme, standalone
from nodes.forms.filters import Cursor, IncidentFilter
from nodes.models import Event, Failover, Incident
from nodes.screens.decisions import decision_records
from nodes.screens.history_lines import event_lines
from nodes.screens.incident import IncidentView, incident_view
from nodes.screens.incident_list import IncidentList, incident_screen
from nodes.screens.post_mortem import QUESTIONS, markdown
from nodes.views.responses import page, signed_in

HISTORY_PAGE = 50  # decisions or events of one incident


@require_safe
@signed_in
def incidents(request: HttpRequest) -> HttpResponse:
    form = IncidentFilter(request.GET)
    asked, now = form.is_valid(), timezone.now()
    position = Cursor(request.GET).position()
    nothing = {"listed": IncidentList((), (), ""), "now": now}
    found = incident_screen(form.search(), now, before=position).context if asked else nothing
    return page(request, "nodes/incidents.html", {**found, "form": form, "live": asked and position is None})


@require_safe
@signed_in
def incident(request: HttpRequest, pk: int) -> HttpResponse:
    screen = screens.incident(pk, timezone.now())
    if screen is None:
        raise Http404
    return page(request, "nodes/incident.html", screen.context)


def _view(pk: int) -> IncidentView:
    found = incident_view(pk, timezone.now())
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in
def post_mortem(request: HttpRequest, pk: int) -> HttpResponse:
    """To read and to print."""
    return render(request, "nodes/post_mortem.html", {"view": _view(pk), "questions": QUESTIONS})


@require_safe
@signed_in
def post_mortem_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The same as Markdown."""
    answer = HttpResponse(markdown(_view(pk)), content_type="text/markdown; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="incident-{pk}.md"'
    return answer


@require_safe
@signed_in
def incident_shares(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the traffic went, as a picture of its own; `?theme=dark` for the dark one."""
    view = _view(pk)
    if view.band is None:
        raise Http404
    theme = Theme.DARK if request.GET.get("theme") == Theme.DARK else Theme.LIGHT
    subtitle = f"Incident {pk}: {view.story.row.summary}"
    drawn = standalone(view.band, title=f"Where the traffic of {view.story.row.pool} went", subtitle=subtitle, theme=theme)
    return HttpResponse(drawn, content_type="image/svg+xml")


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
    shown = _page(request, pk, Event.objects.all(), "Everything, newest first", "events")
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
