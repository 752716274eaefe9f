"""A circuit breaker around calls in this process, by the engine's own rules.

    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=3, timeout=10.0), name="orders")

    @breaker
    def order(item): ...

Needs the standard library alone: neither Django nor a database.
"""

from __future__ import annotations

from nodes.circuit.breaker import CircuitBreaker
from nodes.circuit.permit import CallPermit
from nodes.circuit.rejection import CallRejectedError, CircuitOpenError, TooManyRequestsError
from nodes.engine.enums import Mode, State
from nodes.engine.types import BreakerPolicy, BreakerStats, PolicyError

__all__ = [
    "BreakerPolicy",
    "BreakerStats",
    "CallPermit",
    "CallRejectedError",
    "CircuitBreaker",
    "CircuitOpenError",
    "Mode",
    "PolicyError",
    "State",
    "TooManyRequestsError",
]
