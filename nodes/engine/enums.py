"""The words of the engine: one enumeration for each idea, the same from the table to the page."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of one check."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Health(StrEnum):
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"
    RECOVERING = "recovering"


class AdminState(StrEnum):
    ENABLED = "enabled"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"
    DISABLED = "disabled"

    @property
    def words(self) -> str:
        """As it follows "it is"."""
        return "in maintenance" if self is AdminState.MAINTENANCE else self.value


UNWATCHED = frozenset({AdminState.MAINTENANCE, AdminState.DISABLED})  # who took the node out knows how it is


class Outcome(StrEnum):
    """How a call ended; an ignored one moves no counter."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class State(StrEnum):
    """The computed state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Mode(StrEnum):
    """Who rules a circuit breaker: its own counts, or a person."""

    AUTO = "auto"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    METRICS_ONLY = "metrics_only"


class Origin(StrEnum):
    """What opened a node's breaker, and so what may heal it."""

    CHECKS = "checks"
    CALLS = "calls"  # real traffic, reported by those who send it


class Strategy(StrEnum):
    WEIGHTED = "weighted"
    ACTIVE_PASSIVE = "active_passive"


class Failback(StrEnum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"


class PageOn(StrEnum):
    """When a failure pages: at its beginning, or once nobody has been seen to serve in its place."""

    EVERY_FAILURE = "every_failure"
    IMPACT = "impact"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Guard(StrEnum):
    """A rule that may block automation, in the order asked."""

    PAUSED = "paused"
    CHECKER_ISOLATED = "checker_isolated"
    PANIC = "panic"
    MAX_FAILED_PERCENT = "max_failed_percent"
    COOLDOWN = "cooldown"
    NO_CANDIDATE = "no_candidate"

    @property
    def words(self) -> str:
        """As it follows "blocked by"."""
        return _GUARD_WORDS[self]


_GUARD_WORDS = {
    Guard.PAUSED: "pause",
    Guard.CHECKER_ISOLATED: "checker isolation",
    Guard.PANIC: "panic threshold",
    Guard.MAX_FAILED_PERCENT: "limit on failed nodes",
    Guard.COOLDOWN: "cool-down",
    Guard.NO_CANDIDATE: "no candidate",
}


class ChangeKind(StrEnum):
    """Why the shares of a pool changed."""

    FAILOVER = "failover"
    RECOVERY = "recovery"
    REBALANCE = "rebalance"
    FAILBACK = "failback"
    MANUAL = "manual"


class EventType(StrEnum):
    HEALTH_CHECK_FAILED = "health_check_failed"
    NODE_MARKED_FAILED = "node_marked_failed"
    NODE_DEGRADED = "node_degraded"
    NODE_STALE = "node_stale"
    NODE_STALE_ENDED = "node_stale_ended"
    NODE_ADDED = "node_added"
    NODE_REMOVED = "node_removed"
    FAILOVER_STARTED = "failover_started"
    FAILOVER_COMPLETED = "failover_completed"
    FAILOVER_FAILED = "failover_failed"
    FAILOVER_UNVERIFIED = "failover_unverified"
    FAILOVER_REFUSED = "failover_refused"
    RECOVERY_STARTED = "recovery_started"
    RECOVERY_FAILED = "recovery_failed"
    RECOVERY_COMPLETED = "recovery_completed"
    FAILURE_ENDED = "failure_ended"
    INCIDENT_CLOSED = "incident_closed"
    REBALANCED = "rebalanced"
    FAILBACK_DUE = "failback_due"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_REOPENED = "breaker_reopened"
    BREAKER_HALF_OPENED = "breaker_half_opened"
    BREAKER_CLOSED = "breaker_closed"
    BREAKER_FORCED = "breaker_forced"
    ADMIN_STATE_CHANGED = "admin_state_changed"
    CONFIG_CHANGED = "config_changed"
    HIGH_LOAD = "high_load"
    HIGH_LOAD_ENDED = "high_load_ended"
    LOW_CAPACITY = "low_capacity"
    LOW_CAPACITY_ENDED = "low_capacity_ended"
    POOL_DOWN = "pool_down"
    POOL_DOWN_ENDED = "pool_down_ended"
    TRIAL_STARVED = "trial_starved"
    TRIAL_STARVED_ENDED = "trial_starved_ended"
    CHECKER_ISOLATED = "checker_isolated"
    CHECKER_REJOINED = "checker_rejoined"
    NO_CHECKER_BELIEVED = "no_checker_believed"
    CHECKER_BELIEVED = "checker_believed"
    CHECKS_MISSING = "checks_missing"
    CHECKS_RESUMED = "checks_resumed"
    EVENT_GIVEN_UP = "event_given_up"
    DESTINATION_FAILING = "destination_failing"
    DESTINATION_ANSWERS = "destination_answers"
    DESTINATION_QUIET = "destination_quiet"
    DESTINATION_QUIET_ENDED = "destination_quiet_ended"
    POOL_UNDECIDED = "pool_undecided"
    POOL_DECIDED = "pool_decided"
    CHECKS_LATE = "checks_late"
    CHECKS_ON_TIME = "checks_on_time"
    RESOLVER_DOWN = "resolver_down"
    RESOLVER_ANSWERS = "resolver_answers"
    AUTOMATION_PAUSED = "automation_paused"
    AUTOMATION_RESUMED = "automation_resumed"
    ACKNOWLEDGED = "acknowledged"
    NOTE_ADDED = "note_added"
    ACCOUNT_CHANGED = "account_changed"
    LOGIN_FAILED = "login_failed"
    LOGIN_FAILURES = "login_failures"
    LOGIN_FAILURES_ENDED = "login_failures_ended"
