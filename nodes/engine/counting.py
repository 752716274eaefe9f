"""Counting many reported calls at once, to the same end as counting them one by one.

While a breaker is closed nearly every call only adds to counts.  Those are added up in plain numbers; the call that would open
the breaker, and every call of a breaker that is not closed, goes through the rules by itself.  All calls of one pass have the
same instant, so that time does nothing between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import window as windows
from nodes.engine.breaker import Change, Permit
from nodes.engine.enums import Mode, Origin, Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy, Run, Window
from nodes.engine.window import Tally

Call = tuple[bool, bool]  # failed, slow


def count_until_change(
    breaker: Breaker, policy: BreakerPolicy, calls: Sequence[Call], now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...], int]:
    """Count calls up to and with the first that may change the state; with its changes, and how many were counted.

    At least one is: the breaker is not open.
    """
    added = 0
    if _only_adds(breaker, now):
        breaker, added = _add(breaker, policy, calls, now)
        if added == len(calls):
            return breaker, (), added
    breaker, changes = count_one(breaker, policy, calls[added], now, jitter)
    return breaker, changes, added + 1


def count_one(breaker: Breaker, policy: BreakerPolicy, call: Call, now: float, jitter: float) -> tuple[Breaker, tuple[Change, ...]]:
    """Let one call ask, and tell how it ended; one that is not let through is counted as rejected."""
    failed, slow = call
    asked, permit = rules.acquire(breaker, policy, now, jitter=jitter)
    if not isinstance(permit, Permit):
        return asked, ()  # more trials than are let through: the rest of the callers went round the console
    duration = (policy.slow_call_duration or 0.0) + 1.0 if slow else None
    outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
    return rules.report(asked, policy, permit, outcome, now, jitter=jitter, origin=Origin.CALLS, duration=duration)


def _only_adds(breaker: Breaker, now: float) -> bool:
    """Whether neither time nor a trial stands between two calls."""
    if breaker.state != State.CLOSED or breaker.trials:
        return False
    return breaker.mode == Mode.AUTO or breaker.mode_until is None or breaker.mode_until > now


def _add(breaker: Breaker, policy: BreakerPolicy, calls: Sequence[Call], now: float) -> tuple[Breaker, int]:
    """Add up the calls before the first that would open a closed breaker; with how many they are."""
    if breaker.mode == Mode.FORCED_CLOSED:
        return _with_stats(breaker, calls), len(calls)
    run, number = _extended(breaker.reported, policy, calls, now)
    if run != breaker.reported:
        breaker = replace(breaker, reported=run)
    return _with_stats(breaker, calls[:number]), number


def _with_stats(breaker: Breaker, calls: Sequence[Call]) -> Breaker:
    failed = sum(1 for each in calls if each[0])
    stats = breaker.stats
    stats = replace(
        stats,
        total=stats.total + len(calls),
        failed=stats.failed + failed,
        successful=stats.successful + len(calls) - failed,
    )
    return replace(breaker, stats=stats)


def _extended(run: Run, policy: BreakerPolicy, calls: Sequence[Call], now: float) -> tuple[Run, int]:
    """The run and its window with the calls that open nothing, and how many those are."""
    threshold = policy.failure_threshold
    window = _Growing(run.window, policy, now) if windows.windowed(policy) else None
    failures, number = run.failures, 0
    for failed, slow in calls:
        in_a_row = failures + 1 if failed else 0
        if failed and threshold is not None and in_a_row >= threshold:
            break
        if window is not None and not window.takes(failed, slow):
            break
        failures, number = in_a_row, number + 1
    return Run(failures, run.window if window is None else window.value()), number


class _Growing:
    """A window that grows by calls of one instant, and takes none that would make a rate reach its limit."""

    def __init__(self, window: Window, policy: BreakerPolicy, now: float) -> None:
        self._before, self._policy, self._now = window, policy, now
        self._bytes = bytearray(window.calls[-policy.window_calls :] if policy.window_calls is not None else b"")
        self._gone = 0  # of these bytes, those that have left the window
        self._held = windows.tally(window, policy, now)
        self._added = Tally()

    def takes(self, failed: bool, slow: bool) -> bool:
        """Take one call more, unless it would open the breaker."""
        slow = slow and self._policy.slow_call_duration is not None
        held, gone = _plus(self._held, 1, failed, slow), 0
        if self._policy.window_calls is not None and held.calls > self._policy.window_calls:
            oldest, gone = self._bytes[self._gone], 1
            held = _plus(held, -1, -bool(oldest & windows.FAILED), -bool(oldest & windows.SLOW))
        if windows.opens(self._policy, *held):
            return False
        self._held, self._gone = held, self._gone + gone
        self._bytes.append(windows.byte(failed=failed, slow=slow))
        self._added = _plus(self._added, 1, failed, slow)
        return True

    def value(self) -> Window:
        if not self._added.calls:
            return self._before
        if self._policy.window_calls is not None:
            return Window(calls=bytes(self._bytes[self._gone :]))
        return windows.with_calls(self._before, self._policy, self._now, self._added)


def _plus(tally: Tally, calls: int, failed: int, slow: int) -> Tally:
    return Tally(tally.calls + calls, tally.failed + failed, tally.slow + slow)
