"""What each class of a chart looks like in a file of its own, where no stylesheet reaches: attributes, in light and in dark.

The page's look is in console.css; a test holds the two to the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping

_TOKENS = {
    "surface": ("#ffffff", "#12161c"),
    "sunk": ("#eceef2", "#1e252f"),
    "line": ("#e1e4e9", "#232a34"),
    "edge": ("#858d9a", "#6a7483"),
    "text": ("#12161d", "#edf0f4"),
    "text-2": ("#414a57", "#b4bcc8"),
    "text-3": ("#5b6472", "#939dab"),
    "accent-fill": ("#2460d2", "#7ba6ff"),
    "ok-fill": ("#2a9362", "#38a672"),
    "warn-mark": ("#bb7100", "#e6a233"),
    "warn-fill": ("#f6b73c", "#e6a233"),
    "on-warn": ("#241500", "#1c1203"),
    "bad-fill": ("#c42b22", "#f4685c"),
    "on-bad": ("#ffffff", "#1f0503"),
    "hand-fill": ("#6f55cb", "#9482f2"),
    "off-fill": ("#808997", "#6d7787"),
    "pale-ok": ("#d3e8dd", "#1a332b"),
    "pale-warn": ("#fde4ba", "#5d4a2b"),
    "t1": ("#1d4aa8", "#4f82ea"),
    "t2": ("#3a72db", "#3560bd"),
    "t3": ("#0d6a8f", "#2f93ad"),
    "t4": ("#5a8dc6", "#7188ae"),
    "t5": ("#39508f", "#5a6fb8"),
    "t6": ("#5f7490", "#7f8b9b"),
    "on-t1": ("#ffffff", "#060c18"),
    "on-t2": ("#ffffff", "#ffffff"),
    "on-t3": ("#ffffff", "#060c18"),
    "on-t4": ("#000000", "#060c18"),
    "on-t5": ("#ffffff", "#ffffff"),
    "on-t6": ("#ffffff", "#060c18"),
}  # light, dark


def _line(colour: str, width: str = "1.5", **more: str) -> dict[str, str]:
    written = {key.replace("_", "-"): value for key, value in more.items()}
    return {"fill": "none", "stroke": colour, "stroke-width": width, "vector-effect": "non-scaling-stroke", **written}


CLASSES: Mapping[str, Mapping[str, str]] = {
    **{f"t{n}": {"fill": f"t{n}"} for n in range(1, 7)},
    **{f"o{n}": {"fill": f"on-t{n}", "font-weight": "600"} for n in range(1, 7)},
    **{f"f-{name}": {"fill": f"{name}-fill"} for name in ("ok", "bad", "hand", "off", "accent")},
    "f-warn": {"fill": "warn-mark"},
    "tr": {"fill": "sunk"},
    "layer": {"stroke": "surface", "stroke-width": "1.5", "vector-effect": "non-scaling-stroke"},
    "lab": {"fill": "text", "font-weight": "600"},
    "grid": {"stroke": "line", "stroke-width": "1"},
    "pin-auto": _line("warn-mark"),
    "pin-hand": _line("hand-fill", "1", stroke_dasharray="2 2"),
    "l50": _line("accent-fill", "2", stroke_linejoin="round", stroke_linecap="round"),
    "l95": _line("text", stroke_linejoin="round", stroke_linecap="round"),
    "l99": _line("text-3", stroke_linejoin="round", stroke_dasharray="3 3"),
    "fails": _line("bad-fill", "2"),
    "s-cut": _line("surface", stroke_linecap="round"),
    "s-warn": _line("warn-mark"),
    "s-off": _line("off-fill"),
    "s-accent": _line("accent-fill"),
    "dashed": {"stroke-dasharray": "2 2"},
    "h0": {"fill": "pale-ok"},
    "h1": {"fill": "pale-warn"},
    "h2": {"fill": "warn-fill"},
    "h3": {"fill": "bad-fill"},
    "hn": {"fill": "edge"},
    "dot": {"fill": "on-warn"},
    "cross": _line("on-bad", stroke_linecap="round"),
    "hat": _line("surface", "2", opacity=".55"),
    "wide": {},
}
TEXT = {"fill": "text-3"}


def attributes(classes: str, *, dark: bool) -> dict[str, str]:
    """The attributes of an element with these classes; KeyError for a class that no chart has."""
    merged = {key: value for name in classes.split() for key, value in CLASSES[name].items()}
    return coloured(merged, dark=dark)


def coloured(wanted: Mapping[str, str], *, dark: bool) -> dict[str, str]:
    return {key: _TOKENS[value][dark] if value in _TOKENS else value for key, value in wanted.items()}


def colour(token: str, *, dark: bool) -> str:
    return _TOKENS[token][dark]


RECEIVED = "received"
_BLOCK, _STROKE = "M0 0h10v10h-10z", "M0 5h12"
_SAMPLES = {
    RECEIVED: ("t1", _BLOCK),
    "automation": ("f-warn", "M5 0 10 9H0z"),
    "person": ("f-hand", "M5 0 10 5 5 10 0 5z"),
    "fails": ("fails", "M5 0v9"),
    "hn": ("hn", "M0 4.5h10v1h-10z"),
    **{name: (name, _STROKE) for name in ("l50", "l95", "l99")},
}


def shape(mark: str) -> tuple[str, str]:
    """The class and the path, 12 by 10 px, of a mark of the legend."""
    return _SAMPLES.get(mark, (mark, _BLOCK))
