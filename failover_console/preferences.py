"""How a reader wants pages to look: theme, density and time zone, kept in cookies, so that they hold before the log-in too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

_A_YEAR = 365 * 24 * 3600  # s
THEMES = {"": "as the system", "light": "light", "dark": "dark"}
DENSITIES = {"": "as the page", "compact": "compact", "comfortable": "comfortable"}
ZONES = {"": "this browser’s zone", "UTC": "UTC"}
ALARMS = {"": "off", "on": "on"}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "theme": THEMES,
    "density": DENSITIES,
    "zone": ZONES,
    "sound": ALARMS,
    "notify": ALARMS,
}
LEGENDS = {
    "theme": "Theme", "density": "Density", "zone": "Times in", "sound": "Sound when users are hit",
    "notify": "Desktop notification when users are hit",
}  # fmt: skip  # name beside words


def chosen(request: HttpRequest) -> dict[str, Any]:
    """The context processor: what the reader chose, anything else as if nothing was chosen."""
    given = {name: request.COOKIES.get(name, "") for name in CHOICES}
    found = {name: value if value in CHOICES[name] else "" for name, value in given.items()}
    shown = [(name, LEGENDS[name], found[name], choices.items()) for name, choices in CHOICES.items()]
    return {"prefers": found, "preferences": shown}


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep each choice that the form names, and go back to where the reader was."""
    back = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    answer = HttpResponseRedirect(back if safe and back.startswith("/") else "/")
    for name, choices in CHOICES.items():
        value = request.POST.get(name)
        if value is not None and value in choices:
            answer.set_cookie(name, value, max_age=_A_YEAR, secure=settings.HTTPS, samesite="Lax")
    return answer
