"""What is watched (`inventory`), how it is now (`state`), what happened (`history`), who may ask (`access`)."""

from nodes.models.access import ApiToken, Scope
from nodes.models.history import (
    ChangeKind,
    CheckResult,
    DayRollup,
    Event,
    EventType,
    Failover,
    Failure,
    HourRollup,
    Incident,
    MinuteRollup,
    Outbox,
    RollupProgress,
    Severity,
)
from nodes.models.inventory import BreakerPolicy, Check, CheckKind, Failback, FailoverPolicy, Node, Pool, Quorum, Strategy
from nodes.models.state import AdminState, BreakerMode, BreakerState, FleetState, Health, NodeState, PoolState, Runner

__all__ = [
    "AdminState", "ApiToken", "BreakerMode", "BreakerPolicy", "BreakerState", "ChangeKind", "Check", "CheckKind",
    "CheckResult", "DayRollup", "Event", "EventType", "Failback", "Failover", "FailoverPolicy", "Failure", "FleetState",
    "Health", "HourRollup", "Incident", "MinuteRollup", "Node", "NodeState", "Outbox", "Pool", "PoolState", "Quorum",
    "RollupProgress", "Runner", "Scope", "Severity", "Strategy",
]
