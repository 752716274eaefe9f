"""Filters and tags of all pages: shares, latencies, durations, times, the strip of recent checks."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from nodes.engine.enums import Verdict
from nodes.ledger.letters import VERDICTS

register = template.Library()

_CHECKS_SHOWN = 40
_BARS = {Verdict.PASS: (7, 5), Verdict.WARN: (4, 8), Verdict.FAIL: (0, 12), Verdict.UNKNOWN: (10, 2)}  # top, height


@register.filter
def percent(points: int) -> str:
    """Basis points as a person reads them: 3334 -> 33.34 %, 10000 -> 100 %."""
    text = f"{points / 100:.2f}".rstrip("0").rstrip(".")
    return f"{text}\u00a0%"


@register.filter
def latency(seconds: float | None) -> str:
    """Seconds as milliseconds below one, else as seconds; a dash for none."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}\u00a0ms"
    return f"{seconds * 1000:.0f}\u00a0ms" if seconds < 1 else f"{seconds:.2f}\u00a0s"


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as the page's script writes them: 41 s, 3 min 5 s, 2 h 1 min, 4 d 3 h."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


@register.filter
def seconds_text(seconds: float | None) -> str:
    """A setting in seconds without a needless fraction: 10.0 -> 10 s."""
    return "–" if seconds is None else f"{seconds:g}\u00a0s"


@register.simple_tag
def since(instant: datetime | None) -> str:
    """How long ago, counted on by the page's script."""
    if instant is None:
        return "–"
    return format_html(
        '<time datetime="{}" data-since>{}</time>', instant.isoformat(), duration((timezone.now() - instant).total_seconds())
    )


@register.simple_tag
def until(instant: datetime | None, over: str = "now") -> str:
    """How long still, counted down by the page's script; `over` is what it says afterwards."""
    if instant is None:
        return "–"
    left = (instant - timezone.now()).total_seconds()
    return format_html(
        '<time datetime="{}" data-until="{}">{}</time>', instant.isoformat(), over, duration(left) if left > 0 else over
    )


@register.simple_tag
def at(instant: datetime | None, form: str = "full") -> str:
    """A time of day in UTC; with the date unless `form` is "clock"."""
    if instant is None:
        return "–"
    text = f"{instant:%H:%M:%S}" if form == "clock" else f"{instant:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" data-local>{}</time>', instant.isoformat(), text)


@register.simple_tag
def strip(recent: str) -> str:
    """The last checks as bars, newest right: the height tells the verdict, the colour only repeats it."""
    return _strip(recent)


@lru_cache(maxsize=4096)
def _strip(recent: str) -> SafeString:
    start = _CHECKS_SHOWN - len(recent)
    paths = []
    for letter, verdict in VERDICTS.items():
        top, height = _BARS[verdict]
        bars = "".join(f"M{(start + i) * 3} {top}h2v{height}h-2z" for i, each in enumerate(recent) if each == letter)
        if bars:
            paths.append((verdict, bars))
    counts = ", ".join(f"{recent.count(letter)} {verdict}" for letter, verdict in VERDICTS.items() if letter in recent)
    return format_html(
        '<svg class="strip" viewBox="0 0 119 12" preserveAspectRatio="none" role="img" aria-label="Last {} checks: {}">{}</svg>',
        len(recent),
        counts or "none yet",
        format_html_join("", '<path class="{}" d="{}"/>', paths),
    )


@register.simple_tag
def share_bar(points: int) -> str:
    """A share as the part of a line; the number stands beside it."""
    return format_html(
        '<svg class="share" aria-hidden="true" preserveAspectRatio="none"><rect width="{}%" height="100%" rx="2"/></svg>',
        f"{points / 100:g}",
    )


@register.simple_tag(takes_context=True)
def nav_link(context: Context, address: str, text: str) -> str:
    """A link of the main navigation that knows whether it is where we are; nothing for an address that is not served."""
    path = context["request"].path if "request" in context else ""
    if not address:
        return ""
    here = path == address if address == "/" else path.startswith(address)
    return format_html('<a href="{}" aria-current="page">{}</a>' if here else '<a href="{}">{}</a>', address, text)


@register.filter
def may_enter_admin(user: User | AnonymousUser) -> bool:
    return user.is_authenticated and (user.is_staff or user.has_perm("nodes.operate"))
