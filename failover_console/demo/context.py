"""Template context of every page: where the demo's switches and its receiver are, while this console runs them."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest

from failover_console.demo import ports
from failover_console.demo.identity import identity
from failover_console.demo.inventory import leads_to
from failover_console.demo.layout import HOST


def demo(request: HttpRequest) -> dict[str, str]:
    """The banner's two addresses; one small query, and only for whole pages of people who are logged in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or getattr(request, "htmx", False):
        return {}
    ours = ports.remembered(settings.DATA_DIR)
    if ports.SWITCHES not in ours or not leads_to(ours):
        return {}
    address, mine = f"http://{HOST}:{ours[ports.SWITCHES]}", urlencode({"of": identity()})
    return {"demo_switches": f"{address}/?{mine}", "demo_messages": f"{address}/messages?{mine}"}
