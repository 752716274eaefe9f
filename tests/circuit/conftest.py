"""A breaker named orders on a clock that stands, and one that is half-open."""

from __future__ import annotations

import pytest

from nodes.circuit import CircuitBreaker
from tests.circuit.driving import Clock, trip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(name="orders", clock=clock)


@pytest.fixture
def half_open(breaker: CircuitBreaker, clock: Clock) -> CircuitBreaker:
    trip(breaker)
    clock.now += 30.0
    return breaker
