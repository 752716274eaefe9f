"""Answers 503 with what to do when the database does not, in the place of a failure that explains nothing.

A lock that somebody keeps, a server that restarts, a pool without a free connection: all of them pass.
"""

from __future__ import annotations

import logging

import psycopg
from django.contrib.messages import ERROR
from django.contrib.messages.storage.base import Message
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin
from django_htmx.http import reswap, retarget
from psycopg_pool import PoolTimeout

RETRY_AFTER = 2  # s
SENTENCE = "the database did not answer in time; see whether it was done before you ask again"

# Django's, and psycopg's own: the ledger asks by a cursor of psycopg.
_TROUBLES = (
    OperationalError, InterfaceError, InternalError, psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError,
    PoolTimeout,
)  # fmt: skip  # as in the comment
_log = logging.getLogger(__name__)


class DatabaseTrouble(MiddlewareMixin):
    """Turns what the database raised in a view into an answer."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer; None for what has another cause."""
        if not isinstance(error, _TROUBLES):
            return None
        _log.warning("%s %s: %s", request.method, request.path, str(error).splitlines()[0] if str(error) else type(error).__name__)
        headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
        if request.path.startswith("/api/"):
            return JsonResponse({"error": SENTENCE}, status=503, headers=headers)
        if getattr(request, "htmx", False):  # the page stays, and says so
            said = Message(ERROR, f"{SENTENCE[0].upper()}{SENTENCE[1:]}.")
            answer = HttpResponse(render_to_string("messages.html", {"messages": [said]}), status=503, headers=headers)
            return reswap(retarget(answer, "#messages"), "innerHTML")
        return HttpResponse(render_to_string("503.html"), status=503, headers=headers)
