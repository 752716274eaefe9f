"""What each type of event means: one row a type, read by the engine, the history, the alerts, the pages and the papers.

A row says how severe the event is (a value, or a rule that looks at what is at stake), whether alerts look at it, what it is
about, whether it belongs to an incident, and which trouble it begins, updates or ends.  A trouble lasts: it begins, and has
exactly one end for every way out of it (it recovered, was removed, put in maintenance, disabled or edited).
`docs/events.md` is printed from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nodes.engine.enums import ChangeKind, EventType, Severity
from nodes.engine.event_meaning import (
    IN_INCIDENTS,
    Conclusion,
    Row,
    Scope,
    Stakes,
    Trouble,
    TroubleType,
    by_guard,
    by_rules,
    by_share,
    by_silence,
)
from nodes.engine.types import Event

__all__ = [
    "IN_INCIDENTS", "TABLE", "Conclusion", "Row", "Scope", "Stakes", "Trouble", "TroubleType", "event", "rank", "worst",
]  # fmt: skip  # names beside names


_WARNING, _CRITICAL = Severity.WARNING, Severity.CRITICAL
_FAILURE = TroubleType.FAILURE
_FAILOVER, _RECOVERY, _MANUAL = ChangeKind.FAILOVER, ChangeKind.RECOVERY, ChangeKind.MANUAL

TABLE: Mapping[EventType, Row] = MappingProxyType(
    {
        EventType.HEALTH_CHECK_FAILED: Row("A check failed; recorded up to the failure threshold."),
        EventType.NODE_MARKED_FAILED: Row(
            "A node failed as many checks in a row as its policy allows, or its open breaker is in force again.",
            by_share,
            alertable=True,
            begins=_FAILURE,
        ),
        EventType.NODE_DEGRADED: Row("A healthy node answered with a warning, or 40 % of its last 20 results failed."),
        EventType.NODE_STALE: Row(
            "No check of some nodes of a pool had a result for too long, or of further ones.",
            _WARNING,
            Scope.POOL,
            alertable=True,
            begins=TroubleType.NODE_STALE,
        ),
        EventType.NODE_STALE_ENDED: Row(
            "All of them have results again, are watched no more, or are told of with the whole pool or fleet.",
            scope=Scope.POOL,
            alertable=True,
            ends=TroubleType.NODE_STALE,
            good=True,
        ),
        EventType.NODE_ADDED: Row("A node was added to its pool."),
        EventType.NODE_REMOVED: Row("A node was taken out of its pool for good.", decisions=frozenset({_MANUAL})),
        EventType.FAILOVER_STARTED: Row(
            "A failing node's share has moved to its receivers.", alertable=True, updates=_FAILURE, decisions=frozenset({_FAILOVER})
        ),
        EventType.FAILOVER_COMPLETED: Row(
            "A receiver passed a check begun after the move, or its failure ended before one was checked.",
            updates=_FAILURE,
            good=True,
            concludes=Conclusion.COMPLETED,
        ),
        EventType.FAILOVER_FAILED: Row(
            "No receiver passed a check after the move.", _CRITICAL, alertable=True, updates=_FAILURE, concludes=Conclusion.FAILED
        ),
        EventType.FAILOVER_REFUSED: Row(
            "A guard blocked a failover.",
            by_guard,
            alertable=True,
            of_incident=True,
            updates=_FAILURE,
            decisions=frozenset(ChangeKind),
        ),
        EventType.FAILOVER_UNVERIFIED: Row(
            "Of a pool that pages by impact: 30 s after a node was marked no receiver has been verified.",
            _CRITICAL,
            alertable=True,
            updates=_FAILURE,
        ),
        EventType.RECOVERY_STARTED: Row("A failing node passed its first check, or its first trial began.", updates=_FAILURE),
        EventType.RECOVERY_FAILED: Row("A recovering node failed again.", updates=_FAILURE),
        EventType.RECOVERY_COMPLETED: Row(
            "A failing node is eligible again.", alertable=True, ends=_FAILURE, good=True, decisions=frozenset({_RECOVERY})
        ),
        EventType.FAILURE_ENDED: Row("A failing node was removed, disabled or put in maintenance.", alertable=True, ends=_FAILURE),
        EventType.INCIDENT_CLOSED: Row(
            "The last failure of an incident ended, or a flapping node was quiet for long enough or removed.",
            scope=Scope.POOL,
            alertable=True,
            of_incident=True,
            ends=TroubleType.INCIDENT,
            good=True,
        ),
        EventType.REBALANCED: Row(
            "Shares changed to follow weights, a recovery, a failback or a person.",
            decisions=frozenset({ChangeKind.REBALANCE, ChangeKind.FAILBACK, _RECOVERY}),
        ),
        EventType.FAILBACK_DUE: Row("A better tier is eligible again and waits for a person.", scope=Scope.POOL),
        EventType.BREAKER_OPENED: Row("A node's breaker opened.", by_share, alertable=True, begins=_FAILURE),
        EventType.BREAKER_REOPENED: Row("A trial failed and the breaker opened again; recorded the first time, then every tenth."),
        EventType.BREAKER_HALF_OPENED: Row("A breaker's wait is over, trials are let through."),
        EventType.BREAKER_CLOSED: Row("A breaker closed.", good=True),
        EventType.BREAKER_FORCED: Row(
            "A person set a breaker's mode or let checks count as its trials, or that mode ended.", decisions=frozenset({_MANUAL})
        ),
        EventType.ADMIN_STATE_CHANGED: Row(
            "A person enabled, drained or disabled a node, or put it in maintenance.", decisions=frozenset({_MANUAL, _RECOVERY})
        ),
        EventType.CONFIG_CHANGED: Row(
            "A setting was edited; or a destination of alerts was disabled by its own answer, or is removed.", scope=Scope.FLEET
        ),
        EventType.HIGH_LOAD: Row(
            "A node reported a load near its capacity three times in a row.",
            _WARNING,
            alertable=True,
            begins=TroubleType.HIGH_LOAD,
        ),
        EventType.HIGH_LOAD_ENDED: Row(
            "A node's load is no longer high, or no longer watched.", alertable=True, ends=TroubleType.HIGH_LOAD, good=True
        ),
        EventType.LOW_CAPACITY: Row(
            "Under half of a pool's weight, or of its serving tier's, is eligible or merely silent.",
            _CRITICAL,
            Scope.POOL,
            alertable=True,
            of_incident=True,
            begins=TroubleType.LOW_CAPACITY,
        ),
        EventType.LOW_CAPACITY_ENDED: Row(
            "At least half of a pool's weight is eligible again.",
            scope=Scope.POOL,
            alertable=True,
            of_incident=True,
            ends=TroubleType.LOW_CAPACITY,
            good=True,
        ),
        EventType.POOL_DOWN: Row(
            "No node of a pool is eligible or merely silent, though one was eligible.",
            _CRITICAL,
            Scope.POOL,
            alertable=True,
            of_incident=True,
            begins=TroubleType.POOL_DOWN,
        ),
        EventType.POOL_DOWN_ENDED: Row(
            "A node of the pool is eligible again, or none is left that should be.",
            scope=Scope.POOL,
            alertable=True,
            of_incident=True,
            ends=TroubleType.POOL_DOWN,
            good=True,
        ),
        EventType.TRIAL_STARVED: Row(
            "A breaker that only calls can heal is half-open, and no call was reported for ten times its trial timeout.",
            _WARNING,
            alertable=True,
            begins=TroubleType.TRIAL_STARVED,
        ),
        EventType.TRIAL_STARVED_ENDED: Row(
            "A call was reported, the breaker left half-open, or checks count as its trials from now on.",
            alertable=True,
            ends=TroubleType.TRIAL_STARVED,
            good=True,
        ),
        EventType.CHECKER_ISOLATED: Row(
            "A checker is not believed while another one is; it does no checks that count.",
            _WARNING,
            Scope.CHECKER,
            alertable=True,
            begins=TroubleType.CHECKER_ISOLATED,
        ),
        EventType.CHECKER_REJOINED: Row(
            "A checker is no longer isolated: it looks right again, a person believes it, or its last runner is gone.",
            scope=Scope.CHECKER,
            alertable=True,
            ends=TroubleType.CHECKER_ISOLATED,
            good=True,
        ),
        EventType.NO_CHECKER_BELIEVED: Row(
            "No checker has been believed for 10 s; automation is blocked.",
            _CRITICAL,
            Scope.FLEET,
            alertable=True,
            begins=TroubleType.NO_CHECKER_BELIEVED,
        ),
        EventType.CHECKER_BELIEVED: Row(
            "A checker is believed again; automation acts.",
            scope=Scope.FLEET,
            alertable=True,
            ends=TroubleType.NO_CHECKER_BELIEVED,
            good=True,
        ),
        EventType.CHECKS_MISSING: Row(
            "No check of any node had a result for 60 s, or most nodes of a pool are stale.",
            _CRITICAL,
            Scope.FLEET,
            alertable=True,
            begins=TroubleType.CHECKS_MISSING,
        ),
        EventType.CHECKS_RESUMED: Row(
            "Most nodes of the fleet or the pool are watched again, or there are none left.",
            scope=Scope.FLEET,
            alertable=True,
            ends=TroubleType.CHECKS_MISSING,
            good=True,
        ),
        EventType.EVENT_GIVEN_UP: Row(
            "The alert rules failed at an event three times; nobody is notified of it.", _CRITICAL, Scope.FLEET, alertable=True
        ),
        EventType.DESTINATION_FAILING: Row(
            "A critical message to a destination was given up, or its oldest message has been due and unaccepted for 5 min.",
            by_rules,
            Scope.DESTINATION,
            alertable=True,
            begins=TroubleType.DESTINATION_FAILING,
        ),
        EventType.DESTINATION_ANSWERS: Row(
            "It accepted a message, was disabled by a person, or is removed.",
            scope=Scope.DESTINATION,
            alertable=True,
            ends=TroubleType.DESTINATION_FAILING,
            good=True,
        ),
        EventType.DESTINATION_QUIET: Row(
            "An enabled destination that a rule notifies has accepted no message for 7 days: send it a test message.",
            _WARNING,
            Scope.DESTINATION,
            alertable=True,
            begins=TroubleType.DESTINATION_QUIET,
        ),
        EventType.DESTINATION_QUIET_ENDED: Row(
            "It accepted a message, is notified by no rule, was disabled, or is removed.",
            scope=Scope.DESTINATION,
            alertable=True,
            ends=TroubleType.DESTINATION_QUIET,
            good=True,
        ),
        EventType.POOL_UNDECIDED: Row(
            "Nothing could be decided about a pool in three tries and 30 s: a row of it cannot be read, or its policy cannot work.",
            _CRITICAL,
            Scope.POOL,
            alertable=True,
            begins=TroubleType.POOL_UNDECIDED,
        ),
        EventType.POOL_DECIDED: Row(
            "A pool is decided again, or was removed.",
            scope=Scope.POOL,
            alertable=True,
            ends=TroubleType.POOL_UNDECIDED,
            good=True,
        ),
        EventType.CHECKS_LATE: Row(
            "Checks of a checker start later than they are due.",
            _WARNING,
            Scope.CHECKER,
            alertable=True,
            begins=TroubleType.CHECKS_LATE,
        ),
        EventType.CHECKS_ON_TIME: Row(
            "Checks of a checker start on time again.", scope=Scope.CHECKER, alertable=True, ends=TroubleType.CHECKS_LATE, good=True
        ),
        EventType.RESOLVER_DOWN: Row(
            "The resolver of a checker's host answers nothing; again when most nodes of a pool have no results because of it.",
            by_silence,
            Scope.CHECKER,
            alertable=True,
            begins=TroubleType.RESOLVER_DOWN,
        ),
        EventType.RESOLVER_ANSWERS: Row(
            "It answers again, is asked no more, or the checker's last runner is gone.",
            scope=Scope.CHECKER,
            alertable=True,
            ends=TroubleType.RESOLVER_DOWN,
            good=True,
        ),
        EventType.AUTOMATION_PAUSED: Row("A person paused the automation of a pool or of all.", scope=Scope.POOL),
        EventType.AUTOMATION_RESUMED: Row("Automation acts again.", scope=Scope.POOL, good=True),
        EventType.ACKNOWLEDGED: Row(
            "A person is at an incident.", scope=Scope.POOL, alertable=True, of_incident=True, updates=TroubleType.INCIDENT
        ),
        EventType.NOTE_ADDED: Row("A person wrote a note beside an incident.", scope=Scope.POOL, of_incident=True),
        EventType.ACCOUNT_CHANGED: Row(
            "A user, a role, an API token or a way to log in was changed: passwords, second factors, sessions, recovery codes.",
            scope=Scope.FLEET,
        ),
        EventType.LOGIN_FAILED: Row(
            "A log-in failed, by its password, code, passkey or single sign-on; of more in the same minute by the same account and "
            "address one further event counts them.",
            scope=Scope.FLEET,
        ),
        EventType.LOGIN_FAILURES: Row(
            "Ten log-ins of one account or from one address failed within 10 min.",
            _WARNING,
            Scope.FLEET,
            alertable=True,
            begins=TroubleType.LOGIN_FAILURES,
        ),
        EventType.LOGIN_FAILURES_ENDED: Row(
            "Fewer than five log-ins of each account and from each address failed within 10 min.",
            scope=Scope.FLEET,
            alertable=True,
            ends=TroubleType.LOGIN_FAILURES,
            good=True,
        ),
    }
)


def event(
    type: EventType,  # noqa: A002 - the field's name
    message: str,
    node: int | None = None,
    detail: Mapping[str, object] | None = None,
    *,
    actor: str = "engine",
    stakes: Stakes | None = None,
) -> Event:
    """An event with the severity that its row says."""
    severity = TABLE[type].severity
    if not isinstance(severity, Severity):
        severity = severity(stakes or Stakes())
    return Event(type, severity, message, node, detail or {}, actor)


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def rank(severity: Severity) -> int:
    """How grave a severity is, for comparing two."""
    return _RANK[severity]


def worst(*severities: Severity) -> Severity:
    """The gravest of them."""
    return max(severities, key=rank)
