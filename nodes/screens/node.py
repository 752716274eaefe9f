"""A node's page: health and why, breaker, schedule, actions, recent checks, failures and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nodes.engine import window as windows
from nodes.engine.enums import AdminState, Mode, Origin, State, Strategy, Verdict
from nodes.engine.types import BreakerPolicy, Run
from nodes.ledger import rows
from nodes.models import Check, CheckResult, Event, Failure, Node, NodeState
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import event_lines, failure_lines
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import PoolRow, overview
from nodes.screens.verdicts import VERDICT_TONES, verdict_of

CHECKS_SHOWN = 50
CHECKS_REACH = timedelta(days=2)  # so that only the latest partitions are read
EVENTS_SHOWN = 15
FAILURES_SHOWN = 10


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


@dataclass(frozen=True, slots=True)
class Schedule:
    """The last check, and when the next one is due."""

    checked_at: datetime | None
    due_at: datetime | None
    verdict: str
    message: str
    latency: float | None
    recent: str
    load: str  # in words, empty while none was reported


@dataclass(frozen=True, slots=True)
class CheckLine:
    at: datetime
    verdict: Verdict
    latency: float | None
    message: str

    @property
    def tone(self) -> str:
        return VERDICT_TONES[self.verdict]


def node(node_id: int, now: datetime) -> Screen | None:
    """None when there is no such node; one that was removed is shown with its history, and cannot be acted on."""
    state = (
        NodeState.objects.select_related("node__pool__failover_policy", "node__pool__breaker_policy")
        .filter(node_id=node_id)
        .first()
    )
    if state is None:
        return None
    found: Node = state.node
    fleet = overview(now, found.pool_id)
    pool = next(iter(fleet.pools), None)
    row = next((each for each in pool.nodes if each.id == node_id), None) if pool else None
    history = {
        "checks": _checks(node_id, now),
        "events": event_lines(Event.objects.filter(node_id=node_id).order_by("-at", "-pk")[:EVENTS_SHOWN]),
        "failures": failure_lines(Failure.objects.filter(node_id=node_id).order_by("-marked_at")[:FAILURES_SHOWN]),
    }
    context: dict[str, Any] = {
        "node": found,
        "row": row,
        "definitions": tuple(Check.objects.defer("headers").filter(node=found)),
        "now": now,
        "checked_at": fleet.checked_at,
        **history,
    }
    page = "nodes/node.html"
    fragments = [Fragment(name, f"{page}#{name}", name, subject, urgent=_urgent(name)) for name, subject in history.items()]
    if row is not None and pool is not None:
        breaker, schedule, actions = _breaker(state, row, found, now), _schedule(state, found), _actions(row, pool, state)
        context |= {"breaker": breaker, "schedule": schedule, "actions": actions}
        fragments += [
            Fragment("status", f"{page}#status", "row", row, urgent=row.urgent),
            Fragment(
                "breaker", f"{page}#breaker", "breaker", breaker, urgent=(row.breaker, row.mode, row.mode_until, row.trial_at)
            ),
            Fragment("schedule", f"{page}#schedule", "schedule", schedule, urgent=schedule.verdict),
            Fragment("actions", f"{page}#actions", "actions", actions, has_actions=True),
        ]
    return Screen(context, by_id(*fragments), frozenset({found.pool_id}))


def _urgent(name: str) -> object:
    """The list of checks may wait a second, the other lists may not."""
    return name if name == "checks" else None


def _checks(node_id: int, now: datetime) -> tuple[CheckLine, ...]:
    found = CheckResult.objects.filter(node_id=node_id, at__gt=now - CHECKS_REACH).order_by("-at")
    return tuple(
        CheckLine(at, verdict_of(letter), latency, message or "")
        for at, letter, latency, message in found.values_list("at", "verdict", "latency", "message")[:CHECKS_SHOWN]
    )


def _breaker(state: NodeState, row: NodeRow, found: Node, now: datetime) -> Breaker:
    policy = found.pool.breaker_policy
    return Breaker(
        row=row,
        failures=state.breaker_failures,
        successes=state.breaker_successes,
        failure_threshold=policy.failure_threshold,
        window=_readable(lambda: windows.words(rows.window(state.breaker_window), policy.value(), now.timestamp())),
        reported=_readable(lambda: _reported(rows.run(state.breaker_reported), policy.value(), now.timestamp())),
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
    )


def _readable(words: Callable[[], str]) -> str:
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


def _load(state: NodeState, found: Node) -> str:
    """The load reported last, in words."""
    if state.load is None:
        return ""
    last = f"{state.load['last']:g}"
    return f"{last} of {found.capacity:g}, {state.load['last'] / found.capacity:.0%}" if found.capacity else last


def _schedule(state: NodeState, found: Node) -> Schedule:
    due = None if state.admin_state == AdminState.DISABLED else state.due_at
    load = _readable(lambda: _load(state, found))
    return Schedule(state.checked_at, due, state.last_verdict, state.last_message, state.last_latency, state.recent, load)


def _actions(row: NodeRow, pool: PoolRow, state: NodeState) -> NodeActions:
    better = pool.strategy == Strategy.ACTIVE_PASSIVE and pool.active_tier is not None and row.priority < pool.active_tier
    by_calls = row.breaker == State.HALF_OPEN and state.breaker_opened_by == Origin.CALLS and row.mode == Mode.AUTO
    by_checks = isinstance(state.trial, dict) and bool(state.trial.get("by_checks"))
    waits = by_calls and not by_checks and row.admin == AdminState.ENABLED
    return NodeActions(row.id, row.admin, row.mode, row.breaker == State.CLOSED, row.share > 0, better, waits)
