"""The dashboard."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.views.responses import page, signed_in


@require_safe
@signed_in
def dashboard(request: HttpRequest) -> HttpResponse:
    return page(request, "nodes/dashboard.html", screens.dashboard(timezone.now()).context)
