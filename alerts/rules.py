"""Decides who is notified of what: the rules of the alerts as frozen values and pure functions.

Input: one event of the history, the rules in force, the enabled destinations, the states of the alerts with the event's
subject.  Output: intents, each of them one message to one destination.  The subject is the event's incident, a trouble
that lasts outside incidents, or the event alone; per subject and destination there is one alert with one key.  The first
event that a rule selects opens it; a rise in severity, or a first share lost by a further node, triggers the same key
again; the end of the subject resolves it at every destination that has it, whatever the rules say by then.  Nothing here
reads a clock or knows a database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import IN_INCIDENTS, TABLE, Scope, TroubleType, rank, worst


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
ACKNOWLEDGING = frozenset({Kind.PAGERDUTY, Kind.WEBHOOK})  # a chat channel is not notified of it


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the history, as far as the rules look at it.  `tags` are those of its node."""

    number: int
    type: EventType
    severity: Severity
    incident: int | None = None
    pool: int | None = None
    node: int | None = None
    tags: frozenset[str] = frozenset()
    checker: str = ""  # the host of the checker that it is about


@dataclass(frozen=True, slots=True)
class Rule:
    """Selects events, and for them destinations; empty `types`, `tag` or no `pool` select any.

    Without destinations of its own it selects every one of its `kind`.
    """

    severities: frozenset[Severity]
    types: frozenset[EventType] = frozenset()
    pool: int | None = None
    tag: str = ""
    destinations: frozenset[int] = frozenset()
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert: what one destination was notified of about one subject so far."""

    destination: int
    kind: Kind
    key: str
    severity: Severity
    nodes: frozenset[int] = frozenset()
    triggers: int = 0
    acknowledged: bool = False
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """One message to one destination; (key, action, sequence) is unique there."""

    destination: int
    action: Action
    key: str
    sequence: int
    severity: Severity


def is_alertable(event: Event) -> bool:
    """Whether the event can open, change or end an alert; most events cannot, and no rule is asked about them."""
    row = TABLE[event.type]
    news_of_incident = row.updates is not None and event.incident is not None
    return row.alertable and (event.severity is not Severity.INFO or row.ends is not None or news_of_incident)


def subject(event: Event) -> str:
    """What the event is about; alerts with the same subject are what was sent about it before."""
    row = TABLE[event.type]
    ends = row.ends if row.ends not in IN_INCIDENTS else None
    if event.incident is not None and ends is None:
        return f"incident/{event.incident}"
    lasting = ends or (row.begins if row.begins not in IN_INCIDENTS else None)
    if lasting is None:
        return f"event/{event.number}"
    if event.checker and row.scope is Scope.CHECKER:
        return f"{lasting}/checker/{_short(event.checker)}"
    if event.pool is None:
        return lasting.value
    return f"{lasting}/node/{event.node}" if event.node is not None else f"{lasting}/pool/{event.pool}"


def _short(host: str) -> str:
    """The name of a host as far as there is room, and never that of another."""
    if len(host) <= MOST_OF_A_HOST:
        return host
    return f"{host[: MOST_OF_A_HOST - 9]}~{sha256(host.encode()).hexdigest()[:8]}"


def is_end(event: Event) -> bool:
    """Whether the event ends what an alert is about."""
    ends = TABLE[event.type].ends
    return ends is not None and ends is not TroubleType.FAILURE


def key_of(event: Event) -> str:
    """The key of an alert that this event opens; a lasting trouble that comes again gets a new one."""
    about = subject(event)
    return about if about.startswith(("incident/", "event/")) else f"{about}/{event.number}"


def decide(event: Event, rules: Iterable[Rule], enabled: dict[int, Kind], alerts: Iterable[AlertState]) -> tuple[Intent, ...]:
    """What to send now.  `enabled`: the enabled destinations; `alerts`: those of this subject, the resolved ones too."""
    known = tuple(alerts)
    if not is_alertable(event):
        return ()
    if is_end(event):
        return tuple(_follow_up(alert, Action.RESOLVE, alert.severity) for alert in known if not alert.resolved)
    if event.type is EventType.ACKNOWLEDGED:
        return tuple(_follow_up(alert, Action.ACKNOWLEDGE, alert.severity) for alert in known if _to_acknowledge(alert))
    news = [_follow_up(alert, Action.TRIGGER, worst(alert.severity, event.severity)) for alert in known if _is_news(alert, event)]
    notified = {alert.destination for alert in known if not alert.resolved or event.incident is not None}
    action = Action.INFO if subject(event).startswith("event/") else Action.TRIGGER
    new = sorted(_selected(event, rules, enabled) - notified)
    first = [Intent(destination, action, key_of(event), 1, event.severity) for destination in new]
    return (*news, *first)


def state_after(before: AlertState | None, intent: Intent, event: Event, kind: Kind) -> AlertState:
    """The state of the alert once the intent is written."""
    alert = before or AlertState(intent.destination, kind, intent.key, intent.severity)
    if intent.action is Action.RESOLVE:
        return replace(alert, resolved=True)
    if intent.action is Action.ACKNOWLEDGE:
        return replace(alert, acknowledged=True)
    nodes = alert.nodes if event.node is None else alert.nodes | {event.node}
    return replace(alert, severity=intent.severity, nodes=nodes, triggers=intent.sequence)


def _follow_up(alert: AlertState, action: Action, severity: Severity) -> Intent:
    sequence = alert.triggers + 1 if action is Action.TRIGGER else 1
    return Intent(alert.destination, action, alert.key, sequence, severity)


def _to_acknowledge(alert: AlertState) -> bool:
    return alert.kind in ACKNOWLEDGING and not alert.acknowledged and not alert.resolved


def _is_news(alert: AlertState, event: Event) -> bool:
    """An open alert is triggered again only by a rise in severity, or by a first share lost by a further node."""
    if alert.resolved:
        return False
    lost = event.type is EventType.FAILOVER_STARTED and event.node is not None and event.node not in alert.nodes
    return lost or rank(event.severity) > rank(alert.severity)


def _selected(event: Event, rules: Iterable[Rule], enabled: dict[int, Kind]) -> set[int]:
    """The enabled destinations of all rules that select the event."""
    selected: set[int] = set()
    for rule in rules:
        if not _selects(rule, event):
            continue
        selected |= (
            rule.destinations & enabled.keys()
            if rule.destinations
            else {destination for destination, kind in enabled.items() if kind is rule.kind}
        )
    return selected


def _selects(rule: Rule, event: Event) -> bool:
    return (
        event.severity is not Severity.INFO
        and event.severity in rule.severities
        and (not rule.types or event.type in rule.types)
        and (rule.pool is None or rule.pool == event.pool)
        and (not rule.tag or rule.tag in event.tags)
    )
