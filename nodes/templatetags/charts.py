"""Tags of pictures: marks of a legend, bars of shares, the last checks, a chart with what belongs to it."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from nodes.charts import Part, checks_strip, hatch, legend_mark, share_bar
from nodes.ledger.letters import VERDICTS

register = template.Library()
register.simple_tag(legend_mark)
register.simple_tag(hatch)

BAR = 8  # px


@register.simple_tag
def one_share(name: str, points: int, received: int, tint: int) -> SafeString:
    """The bar of one node in its tint; the number stands beside it."""
    return share_bar(Part(name, points, received), tint=tint, height=BAR)


@register.simple_tag
def last_checks(recent: str) -> SafeString:
    """The last 40 checks from their letters, the oldest first."""
    return checks_strip(tuple(VERDICTS[letter] for letter in recent if letter in VERDICTS))


@register.filter
def sized(text: str) -> str:
    """A figure with its unit small: "38 ms" of a number, a no-break space and the unit."""
    number, space, unit = str(text).partition("\N{NO-BREAK SPACE}")
    return format_html("{} <small>{}</small>", number, unit) if space else text


@register.filter
def tint_mark(tint: int) -> str:
    """The mark of a share's tint in a legend."""
    return f"t{tint}"
