"""The reports page, and the same figures as CSV and JSON."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.views.decorators.http import require_safe

from nodes import reports as history
from nodes.models import Pool

_RANGES = {"1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}
_DEFAULT = "7d"


def _instant(text: str, *, end: bool) -> datetime | None:
    """A date (its whole day counts) or a date and time, in UTC."""
    try:
        if (day := parse_date(text)) is not None:
            return datetime.combine(day, time(), UTC) + (timedelta(days=1) if end else timedelta())
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _asked(request: HttpRequest) -> tuple[history.Report, str]:
    """The report that the query asks for, and what is wrong with the query, in words."""
    now = timezone.now()
    given = request.GET
    span = _RANGES.get(given.get("range", _DEFAULT), _RANGES[_DEFAULT])
    start, end, trouble = now - span, now, ""
    if given.get("start") or given.get("end"):
        first, last = _instant(given.get("start", ""), end=False), _instant(given.get("end", ""), end=True)
        if (given.get("start") and first is None) or (given.get("end") and last is None):
            trouble = "A date is written 2026-11-23; the last seven days are shown instead."
        else:
            end = last or now
            start = first or end - span
    if not trouble and start >= min(end, now):
        trouble = "The range ends before it begins, or begins in the future; the last seven days are shown instead."
        start, end = now - _RANGES[_DEFAULT], now
    return history.report(start, end, now=now, pool=given.get("pool", "")), trouble


@login_required
@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    """Any range, per pool and node, each figure with its rule."""
    found, trouble = _asked(request)
    context = {
        "report": found,
        "trouble": trouble,
        "rules": history.RULES,
        "pools": Pool.objects.filter(removed_at=None),
        "pool": request.GET.get("pool", ""),
        "ranges": _RANGES,
        "range": "" if request.GET.get("start") or request.GET.get("end") else request.GET.get("range", _DEFAULT),
        "query": request.GET.urlencode(),
    }
    return render(request, "nodes/reports.html", context)


@login_required
@require_safe
def reports_csv(request: HttpRequest) -> HttpResponse:
    answer = HttpResponse(history.as_csv(_asked(request)[0]), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="failover-report.csv"'
    return answer


@login_required
@require_safe
def reports_json(request: HttpRequest) -> HttpResponse:
    return HttpResponse(history.as_json(_asked(request)[0]), content_type="application/json")
