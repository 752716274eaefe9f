"""Answers 400 with a sentence to what no database can look for: a NUL in text, a pattern that is none, a number out of range.

PostgreSQL refuses NUL in any text.  It is stopped here once, in path, query, form and cookies: each of them may end in a query.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

import psycopg
from django.db import DataError, ProgrammingError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from failover_console.preferences import chosen

SENTENCE = "what was asked holds something that cannot be read or looked for"

_NUL = "\0"
_log = logging.getLogger(__name__)


class Unreadable(MiddlewareMixin):
    """Stands before whatever looks at the session."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        given = (request.path, *_texts(request.GET.lists()), *request.COOKIES.values())
        if any(_NUL in text for text in given) or not _is_address(request.headers.get("HX-Current-URL", "")):
            return _refused(request)
        return None

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        """A form; what is exempt from CSRF's token posts none, and reads its body by itself."""
        if request.method != "POST" or getattr(view, "csrf_exempt", False):
            return None
        chosen = request.POST.getlist("_selected_action")  # rows of a list of the admin, which takes their numbers as they come
        if any(_NUL in text for text in _texts(request.POST.lists())) or not all(map(_is_number, chosen)):
            return _refused(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """What the database could not make sense of: the lookups of the admin are in its addresses, for anybody to write."""
        from_lookup = isinstance(error, ProgrammingError | psycopg.ProgrammingError) and request.method in ("GET", "HEAD")
        if not from_lookup and not isinstance(error, DataError | psycopg.DataError | OverflowError):
            return None
        _log.warning("%s %s: %s", request.method, request.path, str(error).partition("\n")[0], exc_info=error)
        return _refused(request)


def _is_address(text: str) -> bool:
    """Whether the page that a fragment is asked for can be taken apart: who is signed out is sent back to it."""
    try:
        urlsplit(text)
        urlsplit(unquote(text))  # as htmx may send it
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # a bigint


def _texts(lists: Iterable[tuple[str, Sequence[object]]]) -> Iterable[str]:
    for name, values in lists:
        yield name
        yield from (value for value in values if isinstance(value, str))


def _refused(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"error": SENTENCE}, status=400)
    return HttpResponse(render_to_string("400.html", chosen(request)), status=400)
