"""Tags for the shapes and words of `nodes.look`."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from nodes.look import BREAKERS, STATES, TONES, UNKNOWN

register = template.Library()


@lru_cache(maxsize=256)
def _icon(symbol: str, classes: str) -> SafeString:
    return format_html('<svg class="i{}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, static("icons.svg"), symbol)


def icon_of(name: str, classes: str = "") -> SafeString:
    """The icon of a state, a breaker's position, a tone, or of the sprite itself; decoration beside a word, never alone."""
    look = STATES.get(name) or BREAKERS.get(name)
    if look is not None:
        shape = " br" if look.icon.startswith("b-") else ""
        return _icon(look.icon, f"{shape} {look.hue} {classes}".rstrip())
    if name in TONES:
        return _icon(TONES[name].icon, f" {classes}".rstrip())
    return _icon(name, f" {classes}".rstrip())


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """`{% icon "failed" %}`, `{% icon tone "sm" %}`, `{% icon "search" %}`."""
    return icon_of(str(name), classes)


@register.simple_tag
def state(word: str, beside: str = "") -> SafeString:
    """A state as shape and word in its hue: `{% state "failed" %}`; `beside` follows the word."""
    look = STATES.get(str(word)) or BREAKERS.get(str(word)) or UNKNOWN
    return format_html(
        '<span class="state {}">{}{}{}</span>', look.hue, icon_of(str(word), "sm"), word, f" {beside}" if beside else ""
    )
