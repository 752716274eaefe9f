"""The page of events, filtered and paged by its query string, one event by its own address, and what is filtered as a file."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import reports
from nodes.forms.filters import Cursor, EventFilter
from nodes.screens.events import NOTHING, event_record, event_screen
from nodes.screens.history_lines import EventLine
from nodes.views.responses import page, signed_in

EXPORTED = 10_000  # events of one file
_COLUMNS = (
    "id", "at", "severity", "kind", "type", "pool", "node", "incident_id", "failover_id", "actor", "message",
)  # fmt: skip  # one line


@require_safe
@signed_in
def events(request: HttpRequest) -> HttpResponse:
    """Newest first, by instant and number, so that no event is skipped or shown twice while others come in."""
    form = EventFilter(request.GET)
    asked = form.is_valid()
    position = Cursor(request.GET).position()
    now, cleaned = timezone.now(), form.cleaned_data
    found = event_screen(form.search(), now, before=position).context if asked else {"listed": NOTHING, "now": now}
    more = {"form": form, "live": asked and position is None, "only_node": cleaned.get("node")}
    return page(request, "nodes/events.html", {**found, **more})


@require_safe
@signed_in
def event(request: HttpRequest, pk: int) -> HttpResponse:
    """One event, with what is stored beside its sentence and what the same change wrote."""
    record = event_record(pk, private=request.user.has_perm("auth.view_user"))
    if record is None:
        raise Http404
    return render(request, "nodes/event.html", {"record": record, "event": record.line})


def _exported(request: HttpRequest) -> tuple[list[EventLine], bool] | None:
    """The newest events of the search, and whether there are more; None when the search is unclear."""
    form = EventFilter(request.GET)
    if not form.is_valid():
        return None
    lines = form.search().newest(EXPORTED + 1)
    return lines[:EXPORTED], len(lines) > EXPORTED


def _unclear() -> HttpResponse:
    return JsonResponse({"error": "These filters cannot be read; the page of events says why."}, status=400)


@require_safe
@signed_in
def events_csv(request: HttpRequest) -> HttpResponse:
    """A line per event; a last line says so when there are more than a file holds."""
    found = _exported(request)
    if found is None:
        return _unclear()
    lines, cut = found
    rows = [[getattr(line, name) for name in _COLUMNS] for line in lines]
    if cut:
        rows.append([f"# the newest {EXPORTED} only; set from and until for the others"])
    answer = HttpResponse(reports.csv_of(_COLUMNS, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="events.csv"'
    return answer


@require_safe
@signed_in
def events_json(request: HttpRequest) -> HttpResponse:
    """`events`, the newest first, and `cut`: whether there are more than a file holds."""
    found = _exported(request)
    if found is None:
        return _unclear()
    lines, cut = found
    listed = [{name: getattr(line, name) for name in _COLUMNS} for line in lines]
    answer = JsonResponse({"cut": cut, "events": listed})
    answer["Content-Disposition"] = 'attachment; filename="events.json"'
    return answer
