"""`/healthz`: whether this process can serve; `/health/...`: whether the work is done; `/metrics`: the figures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from asgiref.sync import async_to_sync
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from psycopg.rows import dict_row

from alerts.services.dead_mans_switch import last_calls
from alerts.services.health import alert_troubles
from failover_console.metrics import Console
from failover_console.metrics import Scope as MetricsScope
from failover_console.silence_watch import database_silent_for
from nodes.ledger.rows import Cursor
from nodes.ledger.silence import look_for_silence
from nodes.models import Scope
from nodes.views.bearer import refusal

HANGING = 5.0  # s without an answer to this process's own watch, which asks each second

_log = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process reaches its database, else 503; asks nothing that other processes could have broken."""
    if database_silent_for() > HANGING:
        return JsonResponse({"status": "no database"}, status=503)
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
    return _answer(alert_troubles, _switch)


def _check_troubles() -> list[str]:
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        found = look_for_silence(cursor)
    return [f"{found.sentence}."] if found.missing else [] if found.runners or not found.nodes else ["No check runner lives."]


def _switch() -> dict[str, object]:
    """When the dead man's switch was called, if one is set; the sentence of an error is on the page of destinations."""
    calls = last_calls()
    if calls is None:
        return {}
    return {"dead_mans_switch": {"last_success_at": calls.last_success_at, "last_error_at": calls.last_error_at}}


def _answer(troubles: Callable[[], list[str]], more: Callable[[], dict[str, object]] = dict) -> JsonResponse:
    if database_silent_for() > HANGING:  # a question would hang with it
        return JsonResponse({"status": "failing", "troubles": ["The database does not answer."]}, status=503)
    try:
        found, shown = troubles(), more()
    except Error as error:
        _log.warning("not healthy: %s", error)
        found, shown = ["The database does not answer."], {}
    return JsonResponse({"status": "failing" if found else "ok", "troubles": found, **shown}, status=503 if found else 200)


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
