"""Tags of the lists of pools, nodes and events: cells, words of states, figures, names in messages."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from nodes.engine.enums import EventType
from nodes.look import BREAKERS, STATES, UNKNOWN
from nodes.screens.cells import Cells
from nodes.screens.history_lines import EventLine
from nodes.templatetags.look import icon_of

register = template.Library()

_SHAPES = {
    EventType.BREAKER_OPENED: "open",
    EventType.BREAKER_REOPENED: "open",
    EventType.BREAKER_HALF_OPENED: "half-open",
    EventType.BREAKER_CLOSED: "closed",
    EventType.NODE_MARKED_FAILED: "failed",
    EventType.HEALTH_CHECK_FAILED: "suspect",
    EventType.NODE_STALE: "stale",
    EventType.POOL_DOWN: "down",
    EventType.RECOVERY_STARTED: "recovering",
    EventType.RECOVERY_COMPLETED: "healthy",
    EventType.FAILOVER_COMPLETED: "healthy",
}
_MOVES = {EventType.FAILOVER_STARTED, EventType.REBALANCED}


@register.simple_tag
def cells(drawn: Cells, name: str) -> SafeString:
    """The nodes of a pool as cells that pointer and arrow keys walk; nothing for a pool without a node."""
    if not drawn.ids:
        return format_html('<span class="cs muted">{}</span>', "no node")
    return format_html(
        '<span class="cs"><span tabindex="0" role="group" aria-label="Nodes of {}" data-nodes="{}" data-pitch="{}">'
        "{}</span></span>",
        name,
        drawn.ids,
        drawn.pitch,
        drawn.svg,
    )


@register.simple_tag
def state_word(word: str) -> SafeString:
    """A state's word in its hue; its shape, where it is a breaker's."""
    look = STATES.get(word) or BREAKERS.get(word) or UNKNOWN
    shape = icon_of(word) if word in BREAKERS else ""
    return format_html('<span class="state {}">{}{}</span>', look.hue, shape, word)


@register.simple_tag
def event_icon(event: EventLine) -> SafeString:
    """The shape of what happened: a state's, a breaker's, a person's, or of the severity."""
    shape = next((shape for kind, shape in _SHAPES.items() if kind == event.type), "")
    if shape:
        return icon_of(shape)
    if event.type in _MOVES:
        return icon_of("shares", "acc")
    return icon_of("person", "hand") if event.by_person else icon_of(event.tone, event.tone)


@register.simple_tag
def naming(event: EventLine) -> SafeString:
    """The message, with the name of its node or pool marked."""
    for name in filter(None, (event.node, event.pool)):
        before, found, after = event.message.partition(name)
        if found:
            return format_html("{}<b>{}</b>{}", before, name, after)
    return format_html("{}", event.message)
