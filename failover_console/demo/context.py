"""Template context of every page: the address of the demo's switches, while the demo is installed."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from failover_console.demo.inventory import base_port, installed
from failover_console.demo.layout import HOST, switches_port


def demo(request: HttpRequest) -> dict[str, str]:
    """`demo_address` for the banner; one small query, and only for whole pages of people who are logged in."""
    user = getattr(request, "user", None)
    if not settings.EMBEDDED or user is None or not user.is_authenticated or getattr(request, "htmx", False) or not installed():
        return {}
    return {"demo_address": f"http://{HOST}:{switches_port(base_port())}"}
