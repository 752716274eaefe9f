"""What an operator can do with a node now."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.engine.enums import AdminState, Mode, Origin, State, Strategy
from nodes.models import NodeState
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import PoolRow


@dataclass(frozen=True, slots=True)
class NodeActions:
    """What an operator can do with the node now."""

    id: int
    admin: AdminState
    mode: Mode
    closed: bool
    holds_share: bool
    better_tier: bool
    waits_for_calls: bool = False  # its breaker is half-open, and checks do not count as its trials

    @property
    def enabled(self) -> bool:
        return self.admin == AdminState.ENABLED

    @property
    def draining(self) -> bool:
        return self.admin == AdminState.DRAINING

    @property
    def in_maintenance(self) -> bool:
        return self.admin == AdminState.MAINTENANCE

    @property
    def disabled(self) -> bool:
        return self.admin == AdminState.DISABLED

    @property
    def may_fail_back(self) -> bool:
        return self.draining or self.better_tier

    @property
    def forced(self) -> bool:
        return self.mode != Mode.AUTO

    @property
    def forced_open(self) -> bool:
        return self.mode == Mode.FORCED_OPEN

    @property
    def forced_closed(self) -> bool:
        return self.mode == Mode.FORCED_CLOSED

    @property
    def metrics_only(self) -> bool:
        return self.mode == Mode.METRICS_ONLY


def node_actions(row: NodeRow, pool: PoolRow, state: NodeState) -> NodeActions:
    better = pool.strategy == Strategy.ACTIVE_PASSIVE and pool.active_tier is not None and row.priority < pool.active_tier
    by_calls = row.breaker == State.HALF_OPEN and state.breaker_opened_by == Origin.CALLS and row.mode == Mode.AUTO
    by_checks = isinstance(state.trial, dict) and bool(state.trial.get("by_checks"))
    waits = by_calls and not by_checks and row.admin == AdminState.ENABLED
    return NodeActions(row.id, row.admin, row.mode, row.breaker == State.CLOSED, row.share > 0, better, waits)
