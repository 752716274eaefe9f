"""The calls of the recent past: the last so many, or those of the last so many seconds, with what their rates say.

A count window holds one byte a call.  A time window is cut into tenths, numbered by the clock; a tenth that ends exactly
the window ago is out.
"""

from __future__ import annotations

from typing import NamedTuple

from nodes.engine.values import BreakerPolicy, Window

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
        call = bytes((FAILED * failed | SLOW * slow,))
        return Window(calls=(window.calls + call)[-policy.window_calls :])
    if policy.window_seconds is None:
        return window
    tenth = tenth_of(policy, now)
    kept = _within(window, tenth)
    last = kept[-1] if kept and kept[-1][0] == tenth else (tenth, 0, 0, 0)
    spans = kept[:-1] if last[1] else kept
    return Window(spans=(*spans, (tenth, last[1] + 1, last[2] + failed, last[3] + slow)))


def tally(window: Window, policy: BreakerPolicy, now: float) -> Tally:
    """What the window holds at `now`."""
    if policy.window_calls is not None:
        calls = window.calls[-policy.window_calls :]
        both = calls.count(FAILED | SLOW)
        return Tally(len(calls), calls.count(FAILED) + both, calls.count(SLOW) + both)
    if policy.window_seconds is None:
        return Tally()
    spans = _within(window, tenth_of(policy, now))
    return Tally(*(sum(span[field] for span in spans) for field in (1, 2, 3)))


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


def aged(window: Window, policy: BreakerPolicy, now: float) -> list[tuple[int, int, int, int]]:
    """The spans with their age in tenths in the place of their number, for a snapshot."""
    tenth = tenth_of(policy, now) if policy.window_seconds is not None else 0
    return [(tenth - number, calls, failed, slow) for number, calls, failed, slow in window.spans]


def dated(spans: list[tuple[int, int, int, int]], policy: BreakerPolicy, then: float) -> tuple[tuple[int, int, int, int], ...]:
    """The spans of a snapshot that was taken at `then`."""
    if policy.window_seconds is None:
        return ()
    tenth = tenth_of(policy, then)
    return tuple((tenth - age, calls, failed, slow) for age, calls, failed, slow in spans)


def tenth_of(policy: BreakerPolicy, now: float) -> int:
    assert policy.window_seconds is not None
    return int(now * TENTHS // policy.window_seconds)


def within(number: int, tenth: int) -> bool:
    """Whether a tenth is in the window that ends with another; a clock that was set back leaves the future out as well."""
    return tenth - TENTHS < number <= tenth


def _within(window: Window, tenth: int) -> tuple[tuple[int, int, int, int], ...]:
    return tuple(span for span in window.spans if within(span[0], tenth))
