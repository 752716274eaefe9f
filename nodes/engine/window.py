"""The calls of the recent past: the last so many, or those of the last so many seconds, with what their rates say.

A count window holds one byte a call.  A time window is cut into tenths, numbered by the clock; a tenth that ends exactly
the window ago is out.  A span keeps the instant of its first call rather than the number, so that a window that is edited
keeps what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nodes.engine.types import BreakerPolicy, Span, Window

TENTHS = 10
FAILED, SLOW = 1, 2  # bits of a call's byte


class Tally(NamedTuple):
    """What is in a window."""

    calls: int = 0
    failed: int = 0
    slow: int = 0


def windowed(policy: BreakerPolicy) -> bool:
    """Whether the policy looks at rates at all."""
    return policy.window_calls is not None or policy.window_seconds is not None


def record(window: Window, policy: BreakerPolicy, now: float, *, failed: bool, slow: bool) -> Window:
    """The window with one call more, and without what has left it."""
    if policy.window_calls is not None:
        return Window(calls=(window.calls + bytes((byte(failed=failed, slow=slow),)))[-policy.window_calls :])
    return with_calls(window, policy, now, Tally(1, failed, slow))


def byte(*, failed: bool, slow: bool) -> int:
    """A call in a count window."""
    return FAILED * failed | SLOW * slow


def with_calls(window: Window, policy: BreakerPolicy, now: float, more: Tally) -> Window:
    """A time window with these calls more, and without what has left it."""
    if policy.window_seconds is None:
        return window
    tenth = tenth_of(policy, now)
    kept = _within(window, policy, tenth)
    same = bool(kept) and tenth_of(policy, kept[-1][0]) == tenth
    last = kept[-1] if same else (now, 0, 0, 0)
    spans = kept[:-1] if same else kept
    return Window(spans=(*spans, (last[0], last[1] + more.calls, last[2] + more.failed, last[3] + more.slow)))


def tally(window: Window, policy: BreakerPolicy, now: float) -> Tally:
    """What the window holds at `now`."""
    if policy.window_calls is not None:
        calls = window.calls[-policy.window_calls :]
        both = calls.count(FAILED | SLOW)
        return Tally(len(calls), calls.count(FAILED) + both, calls.count(SLOW) + both)
    if policy.window_seconds is None:
        return Tally()
    spans = _within(window, policy, tenth_of(policy, now))
    return Tally(sum(span[1] for span in spans), sum(span[2] for span in spans), sum(span[3] for span in spans))


def opens(policy: BreakerPolicy, calls: int, failed: int, slow: int) -> str:
    """Which of the rates, `failed` or `slow`, opens the breaker; empty while none does.

    Divided, not multiplied: 7 / 10 is the nearest number to 0.7, while 0.7 x 10 is a little more than 7.
    """
    if calls < policy.minimum_calls:
        return ""
    if policy.failure_rate is not None and failed / calls >= policy.failure_rate:
        return "failed"
    return "slow" if policy.slow_call_rate is not None and slow / calls >= policy.slow_call_rate else ""


def verdict(window: Window, policy: BreakerPolicy, now: float) -> str:
    """Why the rates open the breaker, in words; empty while they do not."""
    found = tally(window, policy, now)
    rate = opens(policy, *found)
    of = f"of {found.calls} calls in the window"
    if rate == "failed":
        return f"{found.failed} {of} failed, the limit is {policy.failure_rate:.0%}"
    return f"{found.slow} {of} took over {policy.slow_call_duration:g} s, the limit is {policy.slow_call_rate:.0%}" if rate else ""


def words(window: Window, policy: BreakerPolicy, now: float) -> str:
    """What the window holds, for a page; empty without a window."""
    if not windowed(policy):
        return ""
    found = tally(window, policy, now)
    slow = f", {found.slow} slow" if policy.slow_call_rate is not None else ""
    return f"{found.failed} of {found.calls} calls in the window failed{slow}"


def shifted(spans: Iterable[Span], by: float) -> tuple[Span, ...]:
    """The spans on a clock that runs so many seconds ahead."""
    return tuple((at + by, calls, failed, slow) for at, calls, failed, slow in spans)


def tenth_of(policy: BreakerPolicy, now: float) -> int:
    assert policy.window_seconds is not None
    return int(now * TENTHS // policy.window_seconds)


def within(number: int, tenth: int) -> bool:
    """Whether a tenth is in the window that ends with another; a clock that was set back leaves the future out as well."""
    return tenth - TENTHS < number <= tenth


def _within(window: Window, policy: BreakerPolicy, tenth: int) -> tuple[Span, ...]:
    return tuple(span for span in window.spans if within(tenth_of(policy, span[0]), tenth))
