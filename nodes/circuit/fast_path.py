"""Counting without the rules: calls of a closed breaker that succeed, and refusals of an open one.

The counts of one generation are kept beside the breaker's value until anything else happens; then they join the value, and
calls still under way are reported by the rules.  Neither `ClosedCalls` nor `Refusals` needs a lock: CPython switches threads
at calls and at the end of loops, never between the reading and the storing of `calls.begun += 1`.
"""

from __future__ import annotations

from dataclasses import replace

from nodes.circuit.deferred import is_deferred
from nodes.circuit.window_counts import WindowCounts
from nodes.engine.breaker import Permit, deadline
from nodes.engine.enums import Mode, State
from nodes.engine.types import Breaker, BreakerPolicy
from nodes.engine.window import windowed


class ClosedCalls:
    """Calls of a closed breaker without a window and without a run of failures, in one generation."""

    __slots__ = ("begun", "good", "mark", "other", "permit")

    def __init__(self, permit: Permit, mark: object) -> None:
        self.begun = self.good = 0
        self.other = 0  # ended by the rules
        self.permit, self.mark = permit, mark  # of every call; of the breaker, to know it without keeping it alive


class Refusals:
    """Calls that an open breaker refused between the instants `since` and `until`, on its clock."""

    __slots__ = ("count", "plain", "since", "until")

    def __init__(self, since: float, until: float) -> None:
        self.since, self.until, self.count = since, until, 0
        self.plain: object = None  # the function that `is_plain` last said yes to, so that it is asked once

    def is_plain(self, fn: object) -> bool:
        """Whether `fn` runs when it is called."""
        if is_deferred(fn):
            return False
        self.plain = fn
        return True


FastPath = tuple[ClosedCalls | None, Refusals | None, WindowCounts | None]


def fast_path(value: Breaker, policy: BreakerPolicy, mark: object) -> FastPath:
    """New counts for the one fast path that the breaker's state allows, if it allows one."""
    if value.mode is not Mode.AUTO:
        return None, None, None
    if value.state is State.OPEN and value.opened_at is not None:
        return None, Refusals(value.opened_at, deadline(value, policy)), None
    if value.state is not State.CLOSED or value.failures:
        return None, None, None  # the next success ends a run of failures, which is for the rules
    permit = Permit(value.generation)
    if windowed(policy):
        return None, None, WindowCounts(value.window, policy, permit)
    return ClosedCalls(permit, mark), None, None


def counted(value: Breaker, calls: ClosedCalls | None, refusals: Refusals | None, window: WindowCounts | None) -> Breaker:
    """The value with what its fast path counted so far."""
    stats = value.stats
    if calls is not None and calls.begun:
        stats = replace(stats, total=stats.total + calls.begun, successful=stats.successful + calls.good)
    elif refusals is not None and refusals.count:
        stats = replace(stats, total=stats.total + refusals.count, rejected=stats.rejected + refusals.count)
    elif window is not None and window.begun:
        stats = replace(stats, total=stats.total + window.begun, successful=stats.successful + window.good)
        return replace(value, stats=stats, window=window.window())
    return value if stats is value.stats else replace(value, stats=stats)
