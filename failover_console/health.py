"""`/healthz`: whether this process can serve; `/health/...`: whether the work is done; `/metrics`: the figures."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from psycopg.rows import dict_row

from alerts.services.health import alert_troubles
from failover_console.metrics import Console
from nodes.ledger.rows import Cursor
from nodes.ledger.silence import look_for_silence
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
def checks(request: HttpRequest) -> HttpResponse:
    """200 while the fleet is watched, else 503 and why: for a watcher outside, who hears of it when our alerts cannot tell."""
    return _answer(_check_troubles)


@never_cache
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    """200 while alerts get out, else 503 and why."""
    return _answer(alert_troubles)


def _check_troubles() -> list[str]:
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        found = look_for_silence(cursor)
    return [f"{found.sentence}."] if found.missing else [] if found.runners or not found.nodes else ["No check runner lives."]


def _answer(troubles: Callable[[], list[str]]) -> JsonResponse:
    try:
        found = troubles()
    except Error as error:
        _log.warning("not healthy: %s", error)
        found = ["The database does not answer."]
    return JsonResponse({"status": "failing" if found else "ok", "troubles": found}, status=503 if found else 200)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for a session or a bearer token with the scope `metrics`."""
    if (refused := refusal(request, Scope.METRICS)) is not None:
        return refused
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Console())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
