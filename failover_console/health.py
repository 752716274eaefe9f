"""`/healthz`: whether this process can serve, and `/metrics`: how the console is doing."""

from __future__ import annotations

import logging
import time

from asgiref.sync import async_to_sync
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from failover_console.metrics import Console
from failover_console.metrics import Scope as MetricsScope
from nodes.models import Scope
from nodes.views.bearer import refusal

_log = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process reaches its database, else 503; asks nothing that other processes could have broken."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        _log.warning("not healthy: %s", error)
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
@gzip_page
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for a session or a bearer token with the scope `metrics`.

    `?scope=database` or `process` asks for the figures that are scraped once, or for this process's own; `?pool=<slug>`, once or
    several times, for those of these pools and their nodes alone.
    """
    if (refused := refusal(request, Scope.METRICS)) is not None:
        return refused
    try:
        scope = MetricsScope(request.GET.get("scope", MetricsScope.ALL))
    except ValueError:
        return JsonResponse({"error": f"scope is one of {', '.join(MetricsScope)}"}, status=400)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Console(scope, tuple(request.GET.getlist("pool")), _loop_lag()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _loop_lag() -> float:
    """Seconds until this process's event loop turned."""
    asked = time.monotonic()
    return async_to_sync(_now)() - asked


async def _now() -> float:
    return time.monotonic()
