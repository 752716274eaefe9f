"""SVG elements as safe strings: every attribute and text is escaped, and only what XML allows is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from django.utils.safestring import SafeString

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """At most two decimals and no needless zero: 12.50 -> 12.5, -0.001 -> 0."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent_of(part: float) -> str:
    """A fraction (0 to 1) as a length of the enclosing picture: 0.93 -> 93%."""
    return f"{number(part * 100)}%"


def element(name: str, attributes: Mapping[str, object], *children: str) -> SafeString:
    """An element; attributes that are None are left out, children that are not safe are escaped."""
    written = "".join([f' {key}="{_written(value)}"' for key, value in attributes.items() if value is not None])
    inside = joined(*children)
    return SafeString(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def joined(*children: str) -> SafeString:
    return SafeString("".join([child if isinstance(child, SafeString) else escape(readable(child)) for child in children]))


def path(kind: str, d: str) -> SafeString:
    """A path of the given class; nothing where there is nothing to draw."""
    return element("path", {"class": kind, "d": d}) if d else SafeString()


def box(x: float, y: float, width: float, height: float) -> str:
    """A rectangle as a part of a path."""
    return f"M{number(x)} {number(y)}h{number(width)}v{number(height)}h{number(-width)}z"


def readable(text: str) -> str:
    """Without the control characters that no XML may hold."""
    return _NOT_XML.sub("", text)


def _written(value: object) -> str:
    return number(value) if isinstance(value, int | float) else escape(readable(str(value)))
