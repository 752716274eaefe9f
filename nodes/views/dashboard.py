"""The dashboard, and the card of one node that its cells open."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.screens.node_card import node_card
from nodes.screens.wanted import Wanted
from nodes.views.bulk import BULK
from nodes.views.responses import LIVE, is_fragment, page, signed_in


@require_safe
@signed_in
def dashboard(request: HttpRequest) -> HttpResponse:
    wanted = Wanted.read(request.GET)
    screen = screens.dashboard(timezone.now(), wanted)
    labels = tuple((name, action.label) for name, action in BULK.items())
    answer = page(request, "nodes/dashboard.html", {**screen.context, "bulk_actions": labels})
    if is_fragment(request) and request.headers.get("HX-Target") != LIVE and "HX-History-Restore-Request" not in request.headers:
        answer["HX-Push-Url"] = wanted.address  # as the socket names it, without what was left empty
    return answer


@require_safe
@signed_in
def card(request: HttpRequest, pk: int) -> HttpResponse:
    found = node_card(pk, timezone.now())
    if found is None:
        raise Http404
    return render(request, "nodes/node_card.html", {"card": found})
