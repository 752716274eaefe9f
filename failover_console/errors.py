"""The page of a failure of ours, in the reader's theme; it asks neither the database nor the session, which may be what failed."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from failover_console import database_trouble
from failover_console.known_troubles import TROUBLES
from failover_console.preferences import chosen


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 when the database failed a middleware, which no other middleware hears of."""
    if isinstance(sys.exc_info()[1], TROUBLES):
        return database_trouble.answer(request)
    return HttpResponse(render_to_string("500.html", chosen(request)), status=500)
