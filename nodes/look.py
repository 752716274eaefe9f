"""The visual language as tables: one shape, one word and one hue for each state, the same on every page.

`docs/design-language.md` explains them, `/styleguide/` shows them.
"""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    icon: str  # id in icons.svg
    hue: str  # class in console.css


# Green: served; amber: less reserve; red: users are hit; violet: a person did it; blue: traffic; grey: unknown or off.
STATES = {
    "healthy": Look("healthy", "ok"),
    "suspect": Look("suspect", "warn"),
    "failed": Look("failed", "bad"),
    "degraded": Look("degraded", "warn"),
    "down": Look("down", "bad"),
    "recovering": Look("recovering", "acc"),
    "on trial": Look("recovering", "acc"),
    "failover pending": Look("pending", "bad"),
    "draining": Look("draining", "hand"),
    "maintenance": Look("maintenance", "hand"),
    "disabled": Look("disabled", "off"),
    "stale": Look("stale", "off"),
    "unknown": Look("stale", "off"),
    "idle": Look("disabled", "off"),
}

BREAKERS = {
    "closed": Look("b-closed", "ok"),
    "open": Look("b-open", "bad"),
    "half-open": Look("b-half", "warn"),
    "forced open": Look("b-forced-open", "hand"),
    "forced closed": Look("b-forced-closed", "hand"),
    "metrics only": Look("b-metrics", "hand"),
}

# Of messages, verdicts of checks and outcomes of deliveries, which are no states of a node or pool.
TONES = {
    "ok": Look("healthy", "ok"),
    "success": Look("check", "ok"),
    "warn": Look("degraded", "warn"),
    "warning": Look("degraded", "warn"),
    "half": Look("degraded", "warn"),
    "paused": Look("paused", "warn"),
    "bad": Look("failed", "bad"),
    "error": Look("down", "bad"),
    "critical": Look("down", "bad"),
    "turn": Look("recovering", "acc"),
    "out": Look("maintenance", "hand"),
    "note": Look("person", "hand"),
    "idle": Look("info", "off"),
    "info": Look("info", "off"),
    "debug": Look("info", "off"),
}

UNKNOWN = Look("stale", "off")
