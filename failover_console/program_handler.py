"""Django's handler for programs: those who come with a bearer token, and probes of health, need neither session nor page.

Each sync middleware costs two hops between threads, and a load balancer asks ten times a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse

from failover_console.unreadable import SENTENCE

Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]

MIDDLEWARE = ("failover_console.program_handler.Headers", "failover_console.database_trouble.DatabaseTrouble")
OWN = ("/healthz", "/health/")  # asked from inside, also without TLS


class ProgramHandler(ASGIHandler):
    """An ASGI application with the same addresses and views as Django's own, and `MIDDLEWARE` in the place of the settings'."""

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django does, from another list: it reads the setting and has no other way."""
        whole: Sequence[str] = settings.MIDDLEWARE
        settings.MIDDLEWARE = list(MIDDLEWARE)
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole


class Headers:
    """What pages have of Django's middleware and an answer to a program needs, too."""

    async_capable, sync_capable = True, False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECURE_SSL_REDIRECT and not request.is_secure() and not request.path.startswith(OWN):
            return JsonResponse({"error": f"ask by https: {settings.PUBLIC_URL}"}, status=403)
        if "\0" in request.path or "%00" in request.META["QUERY_STRING"]:
            return JsonResponse({"error": SENTENCE}, status=400)
        response = await self._answer(request)
        response.setdefault("X-Content-Type-Options", "nosniff")
        return response


def is_program(scope: dict[str, Any]) -> bool:
    """Whether a request comes from a program: it says so by a bearer token, or asks for health."""
    if scope["path"].startswith(OWN):
        return True
    return any(name == b"authorization" and value.strip() for name, value in scope["headers"]) and scope["path"].startswith(
        ("/api/", "/metrics")
    )
