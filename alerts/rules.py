"""Who is told what, and when: the rules of the alerts as frozen values and pure functions.

A happening (one event of the history) belongs to a subject: its incident, a lasting trouble of the whole fleet, or
itself alone.  Per subject and destination there is one page with one key.  The first event that a rule selects opens
it; a rise in severity, or a first share lost by a further node, triggers the same key again; the end of the subject
resolves it wherever it was opened, whatever the rules say by then.  Nothing here reads a clock or knows a database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import IN_INCIDENTS, TABLE, TroubleType, rank, worst


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


ACKNOWLEDGING = frozenset({Kind.PAGERDUTY, Kind.WEBHOOK})  # a chat channel is not told of it


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, as far as the rules look at it.  `tags` are those of its node."""

    event: int
    type: EventType
    severity: Severity
    incident: int | None = None
    pool: int | None = None
    node: int | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """Selects events, and for them destinations; empty `types`, `tag` or no `pool` select any.

    Without destinations of its own it tells every one of its `kind`.
    """

    severities: frozenset[Severity]
    types: frozenset[EventType] = frozenset()
    pool: int | None = None
    tag: str = ""
    destinations: frozenset[int] = frozenset()
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one destination was told of one subject so far."""

    destination: int
    kind: Kind
    key: str
    severity: Severity
    nodes: frozenset[int] = frozenset()
    triggers: int = 0
    acknowledged: bool = False
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Telling:
    """One message to one destination; (key, action, sequence) is unique there."""

    destination: int
    action: Action
    key: str
    sequence: int
    severity: Severity


def is_alertable(happening: Happening) -> bool:
    """Whether the event can be of interest to anybody; most cannot, and are dropped without another look."""
    row = TABLE[happening.type]
    news_of_incident = row.updates is not None and happening.incident is not None
    return row.alertable and (happening.severity is not Severity.INFO or row.ends is not None or news_of_incident)


def subject(happening: Happening) -> str:
    """What the event is about: pages with this subject are what was told of it before."""
    row = TABLE[happening.type]
    ends = row.ends if row.ends not in IN_INCIDENTS else None
    if happening.incident is not None and ends is None:
        return f"incident/{happening.incident}"
    lasting = ends or (row.begins if row.begins not in IN_INCIDENTS else None)
    if lasting is None:
        return f"event/{happening.event}"
    if happening.pool is None:
        return lasting.value
    return f"{lasting}/node/{happening.node}" if happening.node is not None else f"{lasting}/pool/{happening.pool}"


def is_end(happening: Happening) -> bool:
    """Whether the event ends what a page is about."""
    ends = TABLE[happening.type].ends
    return ends is not None and ends is not TroubleType.FAILURE


def key_of(happening: Happening) -> str:
    """The key of a page opened by this event; a lasting trouble that comes again gets a new one."""
    about = subject(happening)
    return about if about.startswith(("incident/", "event/")) else f"{about}/{happening.event}"


def tell(happening: Happening, rules: Iterable[Rule], places: dict[int, Kind], told: Iterable[Told]) -> tuple[Telling, ...]:
    """What to say now.  `places`: the enabled destinations; `told`: the pages of this subject, the resolved ones too."""
    pages = tuple(told)
    if not is_alertable(happening):
        return ()
    if is_end(happening):
        return tuple(_again(page, Action.RESOLVE, page.severity) for page in pages if not page.resolved)
    if happening.type is EventType.ACKNOWLEDGED:
        return tuple(_again(page, Action.ACKNOWLEDGE, page.severity) for page in pages if _to_acknowledge(page))
    news = [_again(page, Action.TRIGGER, worst(page.severity, happening.severity)) for page in pages if _is_news(page, happening)]
    known = {page.destination for page in pages if not page.resolved or happening.incident is not None}
    chosen = _chosen(happening, rules, places) - known
    action = Action.INFO if subject(happening).startswith("event/") else Action.TRIGGER
    first = [Telling(place, action, key_of(happening), 1, happening.severity) for place in sorted(chosen)]
    return (*news, *first)


def remember(before: Told | None, telling: Telling, happening: Happening, kind: Kind) -> Told:
    """The page after the telling."""
    page = before or Told(telling.destination, kind, telling.key, telling.severity)
    if telling.action is Action.RESOLVE:
        return replace(page, resolved=True)
    if telling.action is Action.ACKNOWLEDGE:
        return replace(page, acknowledged=True)
    nodes = page.nodes if happening.node is None else page.nodes | {happening.node}
    return replace(page, severity=telling.severity, nodes=nodes, triggers=telling.sequence)


def _again(page: Told, action: Action, severity: Severity) -> Telling:
    sequence = page.triggers + 1 if action is Action.TRIGGER else 1
    return Telling(page.destination, action, page.key, sequence, severity)


def _to_acknowledge(page: Told) -> bool:
    return page.kind in ACKNOWLEDGING and not page.acknowledged and not page.resolved


def _is_news(page: Told, happening: Happening) -> bool:
    """A page that stands is told again only of a rise in severity, or of a first share lost by a further node."""
    if page.resolved:
        return False
    lost = happening.type is EventType.FAILOVER_STARTED and happening.node is not None and happening.node not in page.nodes
    return lost or rank(happening.severity) > rank(page.severity)


def _chosen(happening: Happening, rules: Iterable[Rule], places: dict[int, Kind]) -> set[int]:
    chosen: set[int] = set()
    for rule in rules:
        if not _selects(rule, happening):
            continue
        chosen |= (
            rule.destinations & places.keys()
            if rule.destinations
            else {place for place, kind in places.items() if kind is rule.kind}
        )
    return chosen


def _selects(rule: Rule, happening: Happening) -> bool:
    return (
        happening.severity is not Severity.INFO
        and happening.severity in rule.severities
        and (not rule.types or happening.type in rule.types)
        and (rule.pool is None or rule.pool == happening.pool)
        and (not rule.tag or rule.tag in happening.tags)
    )
