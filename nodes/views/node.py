"""A node's page."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.views.responses import page, signed_in


@require_safe
@signed_in
def node(request: HttpRequest, pk: int) -> HttpResponse:
    screen = screens.node(pk, timezone.now())
    if screen is None:
        raise Http404
    return page(request, "nodes/node.html", screen.context)
