"""The reports page, and the same figures as CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.views.decorators.http import require_safe

from nodes import reports as history
from nodes.charts import HeatRow, heat_map, legend_mark
from nodes.models import Pool
from nodes.views.responses import signed_in

_RANGES = {name: timedelta(days=days) for name, days in (("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("1y", 365))}
_DEFAULT = "7d"
_LONG = {
    "1d": "day",
    "7d": "7\N{NO-BREAK SPACE}days",
    "30d": "30\N{NO-BREAK SPACE}days",
    "90d": "90\N{NO-BREAK SPACE}days",
    "1y": "year",
}
_HOTTEST = 12  # pools in the heat map
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)


class _UnclearError(ValueError):
    """What is wrong with a query, in a sentence for the one who asked."""


class _Asked(NamedTuple):
    start: datetime
    end: datetime
    pool: str = ""


def _asked(given: QueryDict, now: datetime) -> _Asked:
    """The range and pool that the query asks for; raises `_UnclearError`."""
    name = given.get("range") or _DEFAULT
    if name not in _RANGES:
        raise _UnclearError(f"There is no range “{name[:40]}”; there are {', '.join(_RANGES)}.")
    pool = given.get("pool", "")
    if pool and not (pool.isprintable() and Pool.objects.filter(slug=pool).exists()):
        raise _UnclearError(f"There is no pool with the slug “{pool[:80]}”.")
    first, last = _instant(given.get("start", ""), end=False), _instant(given.get("end", ""), end=True)
    end = last or now
    start = first or end - _RANGES[name]
    if start >= end:
        raise _UnclearError("The range ends before it begins.")
    if start >= now:
        raise _UnclearError("The range begins in the future.")
    return _Asked(start, end, pool)


def _instant(text: str, *, end: bool) -> datetime | None:
    """A date (its whole day counts) or a date and time, in UTC unless it names a zone; None for nothing."""
    if not text:
        return None
    try:
        if (day := parse_date(text)) is not None:
            moment: datetime | None = datetime.combine(day, time(), UTC) + (timedelta(days=1) if end else timedelta())
        else:
            moment = parse_datetime(text)
    except (ValueError, OverflowError):
        moment = None
    moment = moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment is None or moment < _EARLIEST:
        raise _UnclearError(f"“{text[:40]}” is no date for a report; one is written 2026-11-23.")
    return moment


@signed_in
@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    """Any range, per pool and node, each figure with its rule; a query that is unclear stays in the form, beside the reason."""
    now, given, problem = timezone.now(), request.GET, ""
    try:
        asked = _asked(given, now)
    except _UnclearError as error:
        asked, problem = _Asked(now - _RANGES[_DEFAULT], now), str(error)
    found = history.report(asked.start, asked.end, now=now, pool=asked.pool)
    named = "" if problem or given.get("start") or given.get("end") else given.get("range") or _DEFAULT
    shown = given.get("show", "")
    shown = shown if shown in history.GROUPS else next(iter(history.GROUPS))
    context = {
        "report": found,
        "summary": history.summary(found),
        "heat": _heat(found),
        "offenders": history.offenders(found),
        "problem": problem,
        "cut": min(asked.end, now) - asked.start > history.LONGEST,
        "rules": history.RULES,
        "columns": history.group(shown),
        "groups": {name: _link(given, show=name) for name in history.GROUPS},
        "shown": shown,
        "pools": Pool.objects.filter(removed_at=None),
        "pool": given.get("pool", ""),
        "ranges": {name: _link(given, range=name, start="", end="") for name in _RANGES},
        "range": named,
        "long": _LONG.get(named, ""),
        "query": given.urlencode(),
    }
    return render(request, "nodes/reports.html", context)


def _link(given: QueryDict, **changed: str) -> str:
    """The address of this page with other words in it; empty ones go."""
    asked = given.copy()
    for name, value in changed.items():
        asked[name] = value
        if not value:
            del asked[name]
    return f"?{asked.urlencode()}"


def _heat(report: history.Report) -> dict[str, object] | None:
    """The heat map and its words, for a range of some days."""
    found = history.calendar(report)
    hottest = found.pools[:_HOTTEST]
    if len(found.days) < 3 or not hottest:
        return None
    chart = heat_map([HeatRow(each.pool, each.cells, each.whole) for each in hottest], found.days)
    legend = [(legend_mark(entry.mark), entry.text) for entry in chart.legend]
    return {"chart": chart, "legend": legend, "week": found.length == 7, "shown": len(hottest), "all": len(found.pools)}


def _exported(request: HttpRequest, write: Callable[[history.Report], str], content_type: str) -> HttpResponse:
    """The report as `write` writes it, or 400 with what is unclear: no program should take another range for its own."""
    now = timezone.now()
    try:
        asked = _asked(request.GET, now)
    except _UnclearError as error:
        return JsonResponse({"error": str(error)}, status=400)
    found = history.report(asked.start, asked.end, now=now, pool=asked.pool)
    return HttpResponse(write(found), content_type=content_type)


@signed_in
@require_safe
def reports_csv(request: HttpRequest) -> HttpResponse:
    answer = _exported(request, history.as_csv, "text/csv; charset=utf-8")
    if answer.status_code == 200:
        answer["Content-Disposition"] = 'attachment; filename="failover-report.csv"'
    return answer


@signed_in
@require_safe
def reports_json(request: HttpRequest) -> HttpResponse:
    return _exported(request, history.as_json, "application/json")
