"""A pool's rules together: who may serve (`shares`), what holds back (`guards`), why (`decide`), what follows (`step`, `acts`)."""

from nodes.engine.acts import (
    acknowledge,
    fail_back,
    fail_over,
    force_breaker,
    pause,
    rebalance,
    release_breaker,
    remove,
    reset_breaker,
    resume,
    set_admin,
)
from nodes.engine.course import Refused
from nodes.engine.decide import decide_failover
from nodes.engine.guards import ask, isolation
from nodes.engine.reporting import report
from nodes.engine.shares import able, active_tier, ideal_shares, on_trial, owed, receivers
from nodes.engine.step import busy, decide, quiet, step

__all__ = [
    "Refused",
    "able",
    "acknowledge",
    "active_tier",
    "ask",
    "busy",
    "decide",
    "decide_failover",
    "fail_back",
    "fail_over",
    "force_breaker",
    "ideal_shares",
    "isolation",
    "on_trial",
    "owed",
    "pause",
    "quiet",
    "rebalance",
    "receivers",
    "release_breaker",
    "remove",
    "report",
    "reset_breaker",
    "resume",
    "set_admin",
    "step",
]
