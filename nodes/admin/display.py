"""Live state as the admin displays it: badges with the colour of a state, shares in percent."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString


def badge(state: str, text: str) -> SafeString:
    """A word with the colour of its state; the class comes from an enumeration."""
    return format_html('<span class="state state-{}">{}</span>', state, text)


def percent(share: int) -> str:
    """Basis points as a person reads them: 3334 -> 33.34 %."""
    return f"{share / 100:.2f}\N{NO-BREAK SPACE}%"
