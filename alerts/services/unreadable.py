"""What this version cannot read of a rule or a destination, in words: of another version, or edited by hand.

Such a row costs only itself: routing leaves out what it cannot read, and the pages say so.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerts.models import Destination, Rule
from alerts.rules import Kind
from nodes.engine.enums import EventType, Severity

_KINDS, _SEVERITIES, _TYPES = frozenset(Kind), frozenset(Severity), frozenset(EventType)


def of_destination(destination: Destination) -> str:
    """Why nothing goes there; empty when it can be read."""
    if destination.kind in _KINDS:
        return ""
    return f"destination {destination.name} is of an unknown kind “{destination.kind}”, nothing goes there: remove it, or upgrade"


def of_rule(rule: Rule) -> str:
    """What of the rule is left out; empty when all of it can be read."""
    unknown = [
        *_unknown("severity", rule.severities, _SEVERITIES),
        *_unknown("event type", rule.event_types, _TYPES),
        *_unknown("kind of destination", filter(None, [rule.destination_kind]), _KINDS),
    ]
    return f"rule {rule.name} has an unknown {' and '.join(unknown)}, left out: edit it, or upgrade" if unknown else ""


def _unknown(what: str, stored: Iterable[str], known: frozenset[str]) -> list[str]:
    return [f"{what} “{each}”" for each in stored if each not in known]
