"""`/healthz`: whether this process can serve, and `/metrics`: how the console is doing."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from failover_console.metrics import Console
from nodes.models import ApiToken, Scope

_log = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process reaches its database, else 503; asks nothing that other processes could have broken."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        _log.warning("not healthy: %s", error)
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for a session or a bearer token with the scope `metrics`."""
    bearer = request.headers.get("Authorization", "")
    if not request.user.is_authenticated and not (
        bearer.startswith("Bearer ") and ApiToken.find(bearer.removeprefix("Bearer "), Scope.METRICS, timezone.now())
    ):
        return HttpResponse("A bearer token with the scope metrics is needed.", status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Console())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
