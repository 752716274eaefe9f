"""The visual language, alive: every part as pages draw it, with the contrast of the tokens, for whoever builds or reviews one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.contrib.staticfiles import finders
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from nodes import charts, contrast
from nodes.engine.enums import Verdict
from nodes.look import BREAKERS, STATES
from nodes.views.responses import signed_in

# fmt: off
_MEANS = {
    "healthy": "passes its checks", "suspect": "fails, below the limit", "failed": "node: its checks say no",
    "degraded": "pool: served, less reserve", "down": "pool: nobody is eligible", "recovering": "its share comes back",
    "on trial": "a few calls may pass", "failover pending": "waits for a guard or a person",
    "draining": "a person moved its share away",
    "maintenance": "a person, with an end", "disabled": "a person, no checks", "stale": "no fresh check",
    "unknown": "never checked",
    "idle": "pool: nobody is to be served",
    "closed": "calls pass", "open": "calls are refused", "half-open": "trials pass", "forced open": "a person keeps it open",
    "forced closed": "a person keeps it closed", "metrics only": "counts, never opens",
}
_TYPE = (
    ("figure", "99.978 figure", "28/650"), ("verdict", "db is served by db-standby", "26/650"),
    ("title", "Title of a dialog", "20/650"),
    ("lead", "Name of a pool in trouble", "15/650"), ("body", "Body, with one emphasis at 600", "13/400"),
    ("small", "Events and reasons", "12"), ("micro", "Labels and axes", "11"),
)  # fmt: skip
_DAY = datetime(2026, 11, 26, tzinfo=UTC)


class _Shown(NamedTuple):
    """A verdict: ground, shape, its two lines, and the three lamps."""

    ground: str
    shape: str
    first: str
    second: str
    lamps: tuple[int, int, int] | None


_VERDICTS = (
    _Shown("served", "healthy", "All 21 pools are served", "94 of 94 nodes eligible.", (0, 0, 21)),
    _Shown(
        "less_reserve", "degraded", "db is served by db-standby: db-primary refuses", "Users are served.", (0, 1, 20)
    ),
    _Shown("users_hit", "down", "payments is down: both nodes answer 503", "Users are hit for 2 min 41 s.", (1, 0, 20)),
    _Shown("lost", "stale", "The console cannot tell: no answer for 12 s", "Last known: all 21 pools were served.", None),
)


class _Judged(NamedTuple):
    """A token with its colours, and the lowest contrast that something has on it or it has on something."""

    name: str
    light: str
    dark: str
    lowest: str


@require_safe
@signed_in
def styleguide(request: HttpRequest) -> HttpResponse:
    if not (request.user.is_staff or request.user.has_perm("nodes.change_node")):
        raise PermissionDenied("The style guide is for those who edit.")
    shown = {
        "verdicts": _VERDICTS,
        "states": [(word, _MEANS[word]) for word in STATES],
        "breakers": [(word, _MEANS[word]) for word in BREAKERS],
        "type": _TYPE,
        "tokens": _tokens(),
        **_pictures(),
    }
    return render(request, "nodes/styleguide.html", shown)


def _tokens() -> list[_Judged]:
    found = contrast.colours(Path(str(finders.find("console.css"))).read_text())
    judged = [(pair, contrast.lowest(found, pair)) for pair in contrast.pairs()]
    listed = []
    for name, (light, dark) in found.items():
        mine = [(value, pair) for pair, value in judged if name in (pair.upper, pair.ground)]
        value, pair = min(mine, default=(0.0, None), key=lambda each: each[0])
        listed.append(_Judged(name, light, dark, f"{pair.upper} on {pair.ground} {value:.2f}" if pair else ""))
    return listed


def _pictures() -> dict[str, Any]:
    nodes = [charts.NodeCell(f"node-{number}", state) for number, state in enumerate(charts.CellState)]
    calm, bad = charts.DayState.HEALTHY, charts.DayState.DOWN
    day = [calm] * 20 + [charts.DayState.DEGRADED] * 4 + [calm] * 16 + [bad] * 2 + [calm] * 24
    day += [charts.DayState.MAINTENANCE] * 12 + [charts.DayState.NO_DATA] * 6 + [calm] * 12
    shares = tuple(
        charts.Part(f"node-{number}", points) for number, points in enumerate((3000, 2500, 1800, 1200, 1000, 500), start=1)
    )
    moved = (charts.Part("node-1", 6500, received=1900), charts.Part("node-2", 3500, received=900))
    days = [date(2026, 11, 1) + timedelta(days=number) for number in range(26)]
    cells = tuple(0.98 if number == 9 else 0.999 if number == 15 else None if number < 3 else 1.0 for number in range(26))
    return {
        "hatch": charts.hatch(),
        "cells": [(charts.cells([node]), node.state.value) for node in nodes],
        "shares": charts.shares_bar(shares, height=22),
        "moved": charts.shares_bar(moved, height=22),
        "day": charts.strip_24h(day, _DAY, subject="a pool").svg,
        "checks": charts.checks_strip([Verdict.PASS] * 30 + [Verdict.WARN] * 3 + [Verdict.FAIL] * 4 + [Verdict.UNKNOWN] * 3),
        "heat": charts.heat_map([charts.HeatRow("api", cells, 0.9987)], days).svg,
    }
