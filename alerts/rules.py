"""Which events are told, to whom and how soon: the rules of the alerts as frozen values and pure functions.

An event is told if it is severe enough for a rule, or if it ends or updates what was told.  What it is about is a trouble: a
node's failure, a pool's incident, or what lasts outside incidents.  What that makes of the keys at each destination is decided in
`keys.py`.  Nothing here reads a clock or knows a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import TABLE, Scope, TroubleType


class Kind(StrEnum):
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


class Action(StrEnum):
    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    INFO = "info"  # a plain message that nothing resolves
    TEST = "test"


MOST_OF_A_HOST = 60  # letters of its name in a key, which has room for 255 at PagerDuty


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the history, as far as the rules look at it.  `at` in seconds, `tags` are those of its node."""

    number: int
    type: EventType
    severity: Severity
    incident: int | None = None
    pool: int | None = None
    node: int | None = None
    tags: frozenset[str] = frozenset()
    checker: str = ""  # the host of the checker that it is about
    destination: int | None = None  # that it is about: it is not told there
    at: float = 0.0
    flapping: bool = False  # its incident is that of a flapping node


@dataclass(frozen=True, slots=True)
class Rule:
    """Selects events, and for them destinations; empty `types`, `tag` or no `pool` select any.

    Without destinations of its own it selects every one of its `kind`.  `wait` in seconds, from the beginning of a trouble to
    its first message.
    """

    severities: frozenset[Severity]
    types: frozenset[EventType] = frozenset()
    pool: int | None = None
    tag: str = ""
    destinations: frozenset[int] = frozenset()
    kind: Kind | None = None
    wait: float = 0.0


def is_alertable(event: Event) -> bool:
    """Whether the event can open, change or end what is told; most events cannot, and no rule is asked about them."""
    row = TABLE[event.type]
    news_of_incident = row.updates is not None and event.incident is not None
    return row.alertable and (event.severity is not Severity.INFO or row.ends is not None or news_of_incident)


# Troubles -------------------------------------------------------------------------------------------------------------


def incident_trouble(incident: int) -> str:
    """The name of an incident as a trouble."""
    return f"incident/{incident}"


def trouble_of(event: Event) -> str:
    """The name of the trouble that the event begins, updates or ends; empty when it is about nothing that lasts."""
    row = TABLE[event.type]
    lasting = row.ends or row.begins or row.updates
    if lasting is None:
        return ""
    if lasting is TroubleType.INCIDENT:
        return "" if event.incident is None else incident_trouble(event.incident)
    if event.destination is not None and row.scope is Scope.DESTINATION:
        return f"destination/{event.destination}/{lasting}"
    if event.checker and row.scope is Scope.CHECKER:
        return checker_trouble(event.checker, lasting)
    if event.pool is None:
        return f"fleet/{lasting}"
    return f"node/{event.node}/{lasting}" if row.scope is Scope.NODE and event.node is not None else f"pool/{event.pool}/{lasting}"


def checker_trouble(host: str, kind: str) -> str:
    """The name of a trouble of the checker on this host."""
    return f"checker/{_short(host)}/{kind}"


def is_failure(trouble: str) -> bool:
    """Whether it is a node's failure, which ends with its incident at the latest."""
    return trouble.endswith(f"/{TroubleType.FAILURE}")


def _short(host: str) -> str:
    """The name of a host as far as there is room, and never that of another."""
    if len(host) <= MOST_OF_A_HOST:
        return host
    return f"{host[: MOST_OF_A_HOST - 9]}~{sha256(host.encode()).hexdigest()[:8]}"


# Selection ------------------------------------------------------------------------------------------------------------


def selected(event: Event, rules: Iterable[Rule], enabled: Mapping[int, Kind]) -> dict[int, float]:
    """The enabled destinations of all rules that select the event, each with the shortest wait, in seconds."""
    waits: dict[int, float] = {}
    for rule in rules:
        if not _selects(rule, event):
            continue
        for destination in destinations_of(rule, enabled):
            if destination != event.destination:  # it is failing, or would be told too late
                waits[destination] = min(rule.wait, waits.get(destination, rule.wait))
    return waits


def concerns(event: Event, rules: Iterable[Rule], reachable: Mapping[int, Kind]) -> frozenset[int]:
    """The destinations of rules for the event's pool and node, whatever its type and severity."""
    found = [destinations_of(rule, reachable) for rule in rules if _is_about(rule, event)]
    return frozenset().union(*found)


def destinations_of(rule: Rule, enabled: Mapping[int, Kind]) -> frozenset[int]:
    """The enabled destinations that the rule notifies."""
    if rule.destinations:
        return rule.destinations & enabled.keys()
    return frozenset(destination for destination, kind in enabled.items() if kind is rule.kind)


def _selects(rule: Rule, event: Event) -> bool:
    return (
        event.severity is not Severity.INFO
        and event.severity in rule.severities
        and (not rule.types or event.type in rule.types)
        and _is_about(rule, event)
    )


def _is_about(rule: Rule, event: Event) -> bool:
    return (rule.pool is None or rule.pool == event.pool) and (not rule.tag or rule.tag in event.tags)
