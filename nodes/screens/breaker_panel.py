"""The panel about a node's circuit breaker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nodes.engine import window as windows
from nodes.engine.enums import Mode, Origin, State
from nodes.engine.types import BreakerPolicy, Run
from nodes.ledger import rows
from nodes.models import Node, NodeState
from nodes.screens.node_actions import NodeActions
from nodes.screens.node_row import NodeRow


@dataclass(frozen=True, slots=True)
class Breaker:
    """The node's circuit breaker: state, mode, counts."""

    row: NodeRow
    failures: int
    successes: int
    failure_threshold: int | None
    window: str  # what it holds, in words
    reported: str  # what reported calls came to, in words
    success_threshold: int
    opened_at: datetime | None
    opened_by: str
    reopened: int
    reason: str
    owner: str
    total: int
    successful: int
    failed: int
    rejected: int
    times_opened: int
    mean_open: float | None
    actions: NodeActions

    @property
    def forced(self) -> bool:
        return self.row.mode != Mode.AUTO

    @property
    def counts(self) -> str:
        """Where the counts stand, in words."""
        if self.row.breaker == State.HALF_OPEN:
            who = "; only calls heal what calls opened" if self.opened_by == Origin.CALLS else ""
            return f"{self.successes} of {self.success_threshold} good trials; opened by {self.row.opened}{who}"
        if self.row.breaker == State.OPEN:
            again = f", reopened {self.reopened} time{'s' if self.reopened > 1 else ''}" if self.reopened else ""
            return f"opened by {self.row.opened}{again}"
        run = f"{self.failures} of {self.failure_threshold} failures in a row" if self.failure_threshold else ""
        return "; ".join(filter(None, (run, self.window)))


def breaker_panel(state: NodeState, row: NodeRow, found: Node, actions: NodeActions, now: datetime) -> Breaker:
    policy = found.pool.breaker_policy
    return Breaker(
        row=row,
        failures=state.breaker_failures,
        successes=state.breaker_successes,
        failure_threshold=policy.failure_threshold,
        window=readable(lambda: windows.words(rows.window(state.breaker_window), policy.value(), now.timestamp())),
        reported=readable(lambda: _reported(rows.run(state.breaker_reported), policy.value(), now.timestamp())),
        success_threshold=policy.success_threshold,
        opened_at=state.breaker_opened_at if row.breaker != State.CLOSED else None,
        opened_by=state.breaker_opened_by,
        reopened=state.breaker_reopened,
        reason=state.breaker_mode_reason,
        owner=state.breaker_mode_owner,
        total=state.breaker_total,
        successful=state.breaker_successful,
        failed=state.breaker_failed,
        rejected=state.breaker_rejected,
        times_opened=state.breaker_times_opened,
        mean_open=state.breaker_open_seconds / state.breaker_closings if state.breaker_closings else None,
        actions=actions,
    )


def readable(words: Callable[[], str]) -> str:
    """The words; or that what is stored cannot be read, of another version or edited by hand."""
    try:
        return words()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        return f"cannot be read: {error}"


def _reported(run: Run, policy: BreakerPolicy, now: float) -> str:
    """Empty while nothing was reported, or nothing that counts."""
    if run == Run():
        return ""
    in_a_row = f"{run.failures} of {policy.failure_threshold} failures in a row" if policy.failure_threshold else ""
    return "; ".join(filter(None, (in_a_row, windows.words(run.window, policy, now))))
