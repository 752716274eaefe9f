"""What the admin displays in one way everywhere: live state by shape and word, shares in percent, a secret that is shown once."""

from __future__ import annotations

from functools import lru_cache

from django.contrib import messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from nodes.look import BREAKERS, STATES, TONES


@lru_cache(maxsize=256)
def badge(word: str, tone: str = "") -> SafeString:
    """A state by its shape, word and hue; another word has those of `tone`, or none at all."""
    look = {"is_state": word in STATES or word in BREAKERS, "word": word, "tone": tone if tone in TONES else ""}
    return render_to_string("admin/nodes/state.html", look)


def show_once(request: HttpRequest, before: str, secret: str, after: str) -> None:
    """A secret on a line of its own, between whole sentences."""
    messages.warning(request, format_html("{}<br><code>{}</code><br>{}", before, secret, after))


def percent(share: int) -> str:
    """Basis points as a person reads them: 3334 -> 33.34 %."""
    return f"{share / 100:.2f}\N{NO-BREAK SPACE}%"
