"""Counting successful calls of a closed breaker with a window: the window as counters, under the breaker's lock.

A call that fails, or by which a rate would reach its limit, is left to the rules; so these counters never decide.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from nodes.engine.breaker import Permit
from nodes.engine.types import BreakerPolicy, Window
from nodes.engine.window import FAILED, SLOW, opens, tenth_of, within


class WindowCounts:
    """Calls of one generation, and what the window holds of them and of those before."""

    __slots__ = ("_calls", "_failed", "_numbers", "_slow", "_spans", "begun", "good", "permit", "policy")

    def __init__(self, window: Window, policy: BreakerPolicy, permit: Permit) -> None:
        self.policy, self.permit = policy, permit
        self.begun = self.good = 0
        self._numbers = deque(window.calls, maxlen=policy.window_calls) if policy.window_calls is not None else None
        self._spans: deque[list[Any]] = deque(list(span) for span in window.spans)
        self._calls, self._failed, self._slow = self._sums()

    def take_good(self, now: float, duration: float | None) -> bool:
        """Count a successful call; False, and nothing counted, when it is one for the rules."""
        limit = self.policy.slow_call_duration
        slow = limit is not None and duration is not None and duration > limit
        took = self._by_number(slow) if self._numbers is not None else self._by_time(now, slow)
        self.good += took
        return took

    def _by_number(self, slow: bool) -> bool:
        numbers = self._numbers
        assert numbers is not None  # asked by the caller
        gone = numbers[0] if len(numbers) == numbers.maxlen else None
        calls, failed, many = self._calls + (gone is None), self._failed, self._slow + slow
        if gone:
            failed, many = failed - (gone & FAILED), many - (gone >> 1)
        if opens(self.policy, calls, failed, many):
            return False
        numbers.append(SLOW if slow else 0)
        self._calls, self._failed, self._slow = calls, failed, many
        return True

    def _by_time(self, now: float, slow: bool) -> bool:
        spans, tenth = self._spans, tenth_of(self.policy, now)
        if spans and not (within(tenth_of(self.policy, spans[0][0]), tenth) and spans[-1][0] <= now):
            self._spans = spans = deque(span for span in spans if within(tenth_of(self.policy, span[0]), tenth))
            self._calls, self._failed, self._slow = self._sums()
        if opens(self.policy, self._calls + 1, self._failed, self._slow + slow):
            return False
        if not spans or tenth_of(self.policy, spans[-1][0]) != tenth:
            spans.append([now, 0, 0, 0])
        spans[-1][1] += 1
        spans[-1][3] += slow
        self._calls, self._slow = self._calls + 1, self._slow + slow
        return True

    def _sums(self) -> tuple[int, int, int]:
        if self._numbers is not None:
            return len(self._numbers), sum(call & FAILED for call in self._numbers), sum(call >> 1 for call in self._numbers)
        return tuple(sum(span[field] for span in self._spans) for field in (1, 2, 3))

    def window(self) -> Window:
        """The window as the rules take it."""
        spans = tuple((at, calls, failed, slow) for at, calls, failed, slow in self._spans)
        return Window(bytes(self._numbers) if self._numbers is not None else b"", spans)
