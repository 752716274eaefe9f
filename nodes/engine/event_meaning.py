"""What a row of the table of event types can say: what the event is about, how severe it is, which trouble it begins or ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nodes.engine.enums import ChangeKind, Guard, PageOn, Severity


class Scope(StrEnum):
    """What an event or a trouble is about."""

    NODE = "node"
    POOL = "pool"
    CHECKER = "checker"
    DESTINATION = "destination"
    FLEET = "fleet"


class TroubleType(StrEnum):
    """What can last; its value begins the subject under which alerts keep what they have sent."""

    FAILURE = "failure"
    INCIDENT = "incident"
    HIGH_LOAD = "high_load"
    LOW_CAPACITY = "low_capacity"
    POOL_DOWN = "pool_down"
    TRIAL_STARVED = "trial_starved"
    DESTINATION_FAILING = "destination_failing"
    DESTINATION_QUIET = "destination_quiet"
    CHECKER_ISOLATED = "checker_isolated"
    NO_CHECKER_BELIEVED = "no_checker_believed"
    CHECKS_MISSING = "checks_missing"
    NODE_STALE = "node_stale"
    CHECKS_LATE = "checks_late"
    POOL_UNDECIDED = "pool_undecided"
    LOGIN_FAILURES = "login_failures"
    RESOLVER_DOWN = "resolver_down"


class Conclusion(StrEnum):
    """How a failover ended."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One lasting trouble; `id` is that of the node or pool, None for the console as a whole."""

    type: TroubleType
    id: int | None = None


IN_INCIDENTS = frozenset({TroubleType.FAILURE, TroubleType.INCIDENT})  # alerts tell these by their incident


@dataclass(frozen=True, slots=True)
class Stakes:
    """What a rule of severity looks at; `share` in basis points."""

    share: int = 0
    ever_eligible: bool = False
    begins: bool = True  # nothing of the node's failure is told yet
    page_on: PageOn = PageOn.EVERY_FAILURE
    guard: Guard | None = None
    of_critical_rule: bool = False  # a destination that a rule for critical events notifies
    silences: bool = False  # most nodes of a pool have no results because of it


def by_share(stakes: Stakes) -> Severity:
    """critical when a failure takes a share (warning by impact), else warning; info inside a failure or if never eligible"""
    if not stakes.begins or not stakes.ever_eligible:
        return Severity.INFO
    takes = stakes.share > 0 and stakes.page_on is PageOn.EVERY_FAILURE
    return Severity.CRITICAL if takes else Severity.WARNING


def by_guard(stakes: Stakes) -> Severity:
    """warning when a pause or isolation refuses, which tell themselves, else critical"""
    return Severity.WARNING if stakes.guard in (Guard.PAUSED, Guard.CHECKER_ISOLATED) else Severity.CRITICAL


def by_rules(stakes: Stakes) -> Severity:
    """critical when a rule for critical events notifies the destination, else warning"""
    return Severity.CRITICAL if stakes.of_critical_rule else Severity.WARNING


def by_silence(stakes: Stakes) -> Severity:
    """critical once it silences most nodes of a pool, else warning"""
    return Severity.CRITICAL if stakes.silences else Severity.WARNING


SeverityRule = Callable[[Stakes], Severity]


@dataclass(frozen=True, slots=True)
class Row:
    """What one type of event means.

    An event about a node whose failure is open, or ends with it, belongs to its pool's incident, or to the node's own while it
    flaps; so does any one `of_incident`, and what begins or ends another trouble only then.
    """

    sentence: str
    severity: Severity | SeverityRule = Severity.INFO
    scope: Scope = Scope.NODE
    alertable: bool = False
    of_incident: bool = False
    begins: TroubleType | None = None
    updates: TroubleType | None = None
    ends: TroubleType | None = None
    good: bool = False  # good news: green on the pages
    decisions: frozenset[ChangeKind] = frozenset()  # kinds of decision that it tells of
    concludes: Conclusion | None = None  # how the failover that its node began has ended

    @property
    def selectable(self) -> bool:
        """Whether the event can be a warning or worse, so that an alert rule may select it."""
        return self.severity is not Severity.INFO
