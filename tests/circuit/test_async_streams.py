"""Async generators are guarded while they are iterated, and coroutines that give one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from nodes.circuit import CircuitBreaker, CircuitOpenError, State
from tests.circuit.driving import trip
from tests.circuit.streaming import breaks_async, counts, forms, numbers_async


@forms
async def test_an_exhausted_async_generator_is_a_success(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    assert [number async for number in begin(breaker, numbers_async)] == [0, 1, 2]
    assert counts(breaker) == (1, 0, 0, 0)


@forms
async def test_an_async_generator_that_raises_is_a_failure(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    with pytest.raises(ConnectionError, match="cut"):
        [number async for number in begin(breaker, breaks_async)]
    assert counts(breaker) == (0, 1, 0, 0)


@forms
async def test_an_open_breaker_refuses_an_async_generator_at_its_first_step(
    breaker: CircuitBreaker, begin: Callable[..., Any]
) -> None:
    trip(breaker)
    stream = begin(breaker, numbers_async)
    with pytest.raises(CircuitOpenError):
        await anext(stream)


@forms
async def test_an_async_generator_closed_early_is_ignored_and_ends_itself_first(
    breaker: CircuitBreaker, begin: Callable[..., Any]
) -> None:
    seen: list[int] = []

    async def careful() -> AsyncGenerator[int, Any]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(breaker.stats.in_flight)

    stream = begin(breaker, careful)
    await anext(stream)
    await stream.aclose()
    assert (seen, counts(breaker)) == ([1], (0, 0, 1, 0))


def test_an_async_generator_that_was_dropped_half_way_is_closed_by_its_loop_and_ignored(half_open: CircuitBreaker) -> None:
    async def look_once() -> None:
        async for _ in half_open.call(numbers_async):
            break
        gc.collect()

    asyncio.run(look_once())
    assert (half_open.stats.ignored, half_open.stats.in_flight, half_open.state) == (1, 0, State.HALF_OPEN)
    half_open.acquire()


async def test_a_consumer_that_is_cancelled_while_it_waits_is_ignored(breaker: CircuitBreaker) -> None:
    waiting = asyncio.Event()

    async def hangs() -> AsyncGenerator[int, Any]:
        waiting.set()
        await asyncio.Event().wait()
        yield 1

    task = asyncio.ensure_future(anext(breaker.call(hangs)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(breaker) == (0, 0, 1, 0)


async def test_streams_of_many_tasks_do_not_mix(breaker: CircuitBreaker) -> None:
    async def consume(number: int) -> None:
        with suppress(ConnectionError):
            [each async for each in breaker.call(breaks_async if number % 2 else numbers_async)]

    await asyncio.gather(*(consume(number) for number in range(8)))
    assert counts(breaker) == (4, 4, 0, 0)


async def test_a_coroutine_function_by_call_is_guarded_when_it_is_awaited(breaker: CircuitBreaker) -> None:
    async def cut() -> None:
        raise ConnectionError("cut")

    made: Coroutine[Any, Any, None] = breaker.call(cut)
    assert breaker.stats.total == 0
    with pytest.raises(ConnectionError):
        await made
    assert counts(breaker) == (0, 1, 0, 0)


async def test_an_async_generator_that_a_coroutine_gave_is_guarded(breaker: CircuitBreaker) -> None:
    async def connect() -> AsyncGenerator[int, Any]:
        await asyncio.sleep(0)
        return breaks_async()

    with pytest.raises(ConnectionError):
        [each async for each in await breaker.call_async(connect)]
    assert counts(breaker) == (0, 1, 1, 0)
