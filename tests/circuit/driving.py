"""What the tests of the breaker share: a clock that stands, a callee that fails, and a breaker brought to open."""

from __future__ import annotations

from contextlib import suppress

from nodes.circuit import CircuitBreaker, State


class Clock:
    """Time that stands until it is pushed."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail() -> None:
    raise ValueError("the callee is down")


def trip(breaker: CircuitBreaker) -> None:
    while breaker.state == State.CLOSED:
        with suppress(ValueError):
            breaker.call(fail)
