"""Answers 503 with what to do when the database does not, in the place of a failure that explains nothing.

A lock that somebody keeps, a server that restarts, a pool without a free connection: all of them pass.
"""

from __future__ import annotations

import logging

from django.contrib.messages import ERROR
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin
from django_htmx.http import reswap, retarget

from failover_console.known_troubles import TROUBLES
from failover_console.preferences import chosen

RETRY_AFTER = 2  # s
SENTENCE = "the database did not answer in time; see whether it was done before you ask again"

_log = logging.getLogger(__name__)


class DatabaseTrouble(MiddlewareMixin):
    """Turns what the database raised in a view into an answer."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer; None for what has another cause."""
        if not isinstance(error, TROUBLES):
            return None
        _log.warning("%s %s", request.method, request.path, exc_info=error)
        return answer(request)


def answer(request: HttpRequest) -> HttpResponse:
    """503, as the asker can read it; what the database raised in a middleware comes here by `handler500`."""
    headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
    if request.path.startswith("/api/"):
        return JsonResponse({"error": SENTENCE}, status=503, headers=headers)
    if getattr(request, "htmx", False):  # the page stays, and says so
        said = Message(ERROR, f"{SENTENCE[0].upper()}{SENTENCE[1:]}.")
        shown = HttpResponse(render_to_string("messages.html", {"messages": [said]}), status=503, headers=headers)
        return reswap(retarget(shown, "#messages"), "innerHTML")
    return HttpResponse(render_to_string("503.html", chosen(request)), status=503, headers=headers)
