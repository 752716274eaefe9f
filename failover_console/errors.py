"""What is answered where nothing is, and the page of a failure of ours.

That one is in the reader's theme, and asks neither the database nor the session, which may be what failed.
"""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.defaults import page_not_found

from failover_console import database_trouble
from failover_console.known_troubles import TROUBLES
from failover_console.preferences import chosen


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, as the asker can read it."""
    if request.path.startswith("/api/"):
        return JsonResponse({"error": "nothing is at this address"}, status=404)
    return page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 when the database failed a middleware, which no other middleware hears of."""
    if isinstance(sys.exc_info()[1], TROUBLES):
        return database_trouble.answer(request)
    return HttpResponse(render_to_string("500.html", chosen(request)), status=500)
