"""Filters and tags of all pages: shares, ratios, latencies, durations, times."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from nodes.charts import Part, share_bar, texts

register = template.Library()


@register.filter
def percent(points: int) -> str:
    """Basis points as a person reads them: 3334 -> 33.34 %, 10000 -> 100 %."""
    text = f"{points / 100:.2f}".rstrip("0").rstrip(".")
    return f"{text}\u00a0%"


@register.filter
def tenths(points: int) -> str:
    """Basis points with at most one decimal, as charts write them: 3334 -> 33.3 %."""
    return texts.percent(points)


@register.filter
def part(value: float | None) -> str:
    """A part of the whole in percent with at most two decimals: 0.0004 -> 0.04 %; a dash for none."""
    return "–" if value is None else percent(round(value * 10_000))


@register.filter
def uptime(value: float | None) -> str:
    """A ratio in percent to a thousandth, never rounded up to 100 %: 0.99987 -> 99.987 %; a dash for none."""
    if value is None:
        return "–"
    number, unit = texts.uptime(value).split("\u00a0")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}\u00a0{unit}"


@register.filter
def latency(seconds: float | None) -> str:
    """Seconds as milliseconds below one, else as seconds; a dash for none."""
    return texts.latency(seconds)


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
def gap(seconds: float) -> str:
    """Seconds between two steps, a decimal below a minute: 2.9 s, 1 min 38 s."""
    if seconds < 0.05:
        return "at once"
    return f"{seconds:.1f}\u00a0s" if seconds < 60 else duration(seconds)


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


_FORMS = {"full": "%Y-%m-%d %H:%M:%S UTC", "clock": "%H:%M:%S", "minute": "%H:%M", "day": "%-d %b"}


@register.simple_tag
def at(instant: datetime | None, form: str = "full") -> str:
    """An instant in UTC, which the page's script writes in the reader's zone; `form` is full, clock, minute or day."""
    if instant is None:
        return "–"
    return format_html('<time datetime="{}" data-local="{}">{}</time>', instant.isoformat(), form, f"{instant:{_FORMS[form]}}")


@register.simple_tag
def move_bar(name: str, points: int, before: int | None = None) -> SafeString:
    """A share in its track; what it gained since `before` is hatched."""
    gained = max(0, points - before) if before is not None else 0
    return share_bar(Part(name, points, gained))


@register.simple_tag(takes_context=True)
def nav_link(context: Context, address: str, text: str, classes: str = "", counted: int | None = None) -> str:
    """A link of the main navigation that knows whether it is where we are; nothing for an address that is not served."""
    path = context["request"].path if "request" in context else ""
    if not address:
        return ""
    here = path == address if address == "/" else path.startswith(address)
    count = "" if counted is None else format_html('<span class="count" data-open-count title="open">{}</span>', counted or "")
    return format_html(
        '<a href="{}"{}{}>{}{}</a>',
        address,
        format_html(' class="{}"', classes) if classes else "",
        mark_safe(' aria-current="page"') if here else "",
        text,
        count,
    )


@register.filter
def may_enter_admin(user: User | AnonymousUser) -> bool:
    return user.is_authenticated and (user.is_staff or user.has_perm("nodes.operate"))
