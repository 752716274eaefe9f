"""Generators to be guarded, and the two ways of guarding them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from nodes.circuit import BreakerPolicy, CircuitBreaker

Stream = Generator[int, Any, str]


def numbers(count: int = 3) -> Stream:
    """Yields numbers."""
    yield from range(count)
    return "all"


async def numbers_async(count: int = 3) -> AsyncGenerator[int, Any]:
    """Yields numbers."""
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def breaks() -> Stream:
    yield 1
    raise ConnectionError("cut")


async def breaks_async() -> AsyncGenerator[int, Any]:
    yield 1
    raise ConnectionError("cut")


class Client:
    """Whose methods stream."""

    def stream(self) -> Stream:
        return (yield from numbers())


def by_call(breaker: CircuitBreaker, fn: Callable[..., Any]) -> Any:
    return breaker.call(fn)


def by_decorator(breaker: CircuitBreaker, fn: Callable[..., Any]) -> Any:
    return breaker(fn)()


SLOW = BreakerPolicy(slow_call_rate=0.5, slow_call_duration=5.0, window_calls=2, minimum_calls=1)

forms = pytest.mark.parametrize("begin", [by_call, by_decorator])
policies = pytest.mark.parametrize("policy", [BreakerPolicy(), SLOW], ids=["not measured", "measured"])


def counts(breaker: CircuitBreaker) -> tuple[int, int, int, int]:
    stats = breaker.stats
    return stats.successful, stats.failed, stats.ignored, stats.in_flight
