"""What an event is about, in one word: the kinds that pages show beside a line and filter by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from nodes.engine.enums import EventType


class Kind(StrEnum):
    CHECK = "check"
    BREAKER = "breaker"
    DECISION = "decision"
    SHARES = "shares"
    RECOVERY = "recovery"
    POOL = "pool"
    PEOPLE = "people"
    CHECKER = "checker"
    MESSAGE = "message"
    LOGIN = "log-in"

    @property
    def icon(self) -> str:
        """Id in the sprite."""
        return _ICONS[self]


_ICONS = {
    Kind.CHECK: "failed",
    Kind.BREAKER: "open",
    Kind.DECISION: "decision",
    Kind.SHARES: "shares",
    Kind.RECOVERY: "recovering",
    Kind.POOL: "degraded",
    Kind.PEOPLE: "person",
    Kind.CHECKER: "search",
    Kind.MESSAGE: "message",
    Kind.LOGIN: "user",
}

TYPES: Mapping[Kind, frozenset[EventType]] = MappingProxyType(
    {
        Kind.CHECK: frozenset(
            {
                EventType.HEALTH_CHECK_FAILED, EventType.NODE_MARKED_FAILED, EventType.NODE_DEGRADED, EventType.NODE_STALE,
                EventType.NODE_STALE_ENDED, EventType.HIGH_LOAD, EventType.HIGH_LOAD_ENDED,
            }
        ),
        Kind.BREAKER: frozenset(
            {
                EventType.BREAKER_OPENED, EventType.BREAKER_REOPENED, EventType.BREAKER_HALF_OPENED, EventType.BREAKER_CLOSED,
                EventType.TRIAL_STARVED, EventType.TRIAL_STARVED_ENDED,
            }
        ),
        Kind.DECISION: frozenset(
            {
                EventType.FAILOVER_COMPLETED, EventType.FAILOVER_FAILED, EventType.FAILOVER_REFUSED, EventType.FAILOVER_UNVERIFIED,
                EventType.FAILBACK_DUE,
            }
        ),
        Kind.SHARES: frozenset({EventType.FAILOVER_STARTED, EventType.REBALANCED}),
        Kind.RECOVERY: frozenset(
            {
                EventType.RECOVERY_STARTED, EventType.RECOVERY_FAILED, EventType.RECOVERY_COMPLETED, EventType.FAILURE_ENDED,
                EventType.INCIDENT_CLOSED,
            }
        ),
        Kind.POOL: frozenset(
            {
                EventType.LOW_CAPACITY, EventType.LOW_CAPACITY_ENDED, EventType.POOL_DOWN, EventType.POOL_DOWN_ENDED,
                EventType.POOL_UNDECIDED, EventType.POOL_DECIDED,
            }
        ),
        Kind.PEOPLE: frozenset(
            {
                EventType.ACKNOWLEDGED, EventType.NOTE_ADDED, EventType.ADMIN_STATE_CHANGED, EventType.BREAKER_FORCED,
                EventType.CONFIG_CHANGED, EventType.AUTOMATION_PAUSED, EventType.AUTOMATION_RESUMED, EventType.NODE_ADDED,
                EventType.NODE_REMOVED,
            }
        ),
        Kind.CHECKER: frozenset(
            {
                EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED, EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED,
                EventType.CHECKS_MISSING, EventType.CHECKS_RESUMED, EventType.CHECKS_LATE, EventType.CHECKS_ON_TIME,
                EventType.RESOLVER_DOWN, EventType.RESOLVER_ANSWERS,
            }
        ),
        Kind.MESSAGE: frozenset(
            {
                EventType.EVENT_GIVEN_UP, EventType.DESTINATION_FAILING, EventType.DESTINATION_ANSWERS,
                EventType.DESTINATION_QUIET, EventType.DESTINATION_QUIET_ENDED,
            }
        ),
        Kind.LOGIN: frozenset(
            {
                EventType.ACCOUNT_CHANGED, EventType.LOGIN_FAILED, EventType.LOGIN_FAILURES, EventType.LOGIN_FAILURES_ENDED,
            }
        ),
    }
)  # fmt: skip  # a table

_KINDS = {event_type.value: kind for kind, types in TYPES.items() for event_type in types}
_SHAPES = {
    EventType.BREAKER_CLOSED.value: "closed",
    EventType.BREAKER_HALF_OPENED.value: "half-open",
    EventType.HEALTH_CHECK_FAILED.value: "suspect",
    EventType.NODE_DEGRADED.value: "suspect",
    EventType.NODE_STALE.value: "stale",
    EventType.NODE_STALE_ENDED.value: "check",
    EventType.RECOVERY_COMPLETED.value: "check",
    EventType.INCIDENT_CLOSED.value: "check",
    EventType.FAILOVER_COMPLETED.value: "check",
    EventType.POOL_DOWN.value: "down",
    EventType.POOL_DOWN_ENDED.value: "check",
    EventType.LOW_CAPACITY_ENDED.value: "check",
}


def kind_of(event_type: str) -> Kind | None:
    """None for a type of another version."""
    return _KINDS.get(event_type)


def icon_of(event_type: str) -> str:
    """Id in the sprite of what an event of this type shows."""
    kind = kind_of(event_type)
    return _SHAPES.get(event_type) or (kind.icon if kind else "info")
