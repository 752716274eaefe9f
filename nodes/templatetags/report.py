"""The filter that formats a report's figure in its unit."""

from __future__ import annotations

from datetime import UTC

from django import template

from nodes.reports import Figure, Row
from nodes.templatetags.console import duration, latency, uptime

register = template.Library()


@register.filter
def figure(row: Row, column: Figure) -> str:
    """One cell, in its unit; a dash where there is nothing to count."""
    value = getattr(row, column.key)
    if value is None:
        return "–"
    match column.unit:
        case "percent":
            return uptime(value)
        case "seconds":
            return f"{value:.1f}\u00a0s" if value < 10 else duration(value)
        case "latency":
            return latency(value)
        case "moment":
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"{value:,}"
