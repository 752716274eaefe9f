"""Generators are guarded while they are iterated."""

from __future__ import annotations

import gc
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any

import pytest

from nodes.circuit import BreakerPolicy, CallRejectedError, CircuitBreaker, CircuitOpenError, State
from nodes.circuit.blocks import innermost
from tests.circuit.driving import Clock, fail, trip
from tests.circuit.streaming import SLOW, Client, Stream, breaks, counts, forms, numbers, numbers_async, policies


@forms
def test_making_a_generator_is_no_call_yet(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    begin(breaker, numbers)
    begin(breaker, numbers_async)
    assert breaker.stats.total == 0


@forms
def test_the_first_step_asks_for_the_permit(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    stream = begin(breaker, numbers)
    assert next(stream) == 0
    assert (breaker.stats.total, breaker.stats.in_flight) == (1, 1)


@forms
def test_an_exhausted_generator_is_a_success(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    assert list(begin(breaker, numbers)) == [0, 1, 2]
    assert counts(breaker) == (1, 0, 0, 0)


@forms
def test_a_generator_that_raises_is_a_failure(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    with pytest.raises(ConnectionError, match="cut"):
        list(begin(breaker, breaks))
    assert counts(breaker) == (0, 1, 0, 0)


@forms
def test_six_cut_streams_open_the_breaker(begin: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=6))
    for _ in range(6):
        with suppress(ConnectionError):
            list(begin(breaker, breaks))
    assert (breaker.state, breaker.stats.failed, breaker.stats.successful) == (State.OPEN, 6, 0)


@forms
def test_a_generator_closed_early_is_ignored(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    stream = begin(breaker, numbers)
    next(stream)
    stream.close()
    assert counts(breaker) == (0, 0, 1, 0)


@forms
def test_an_open_breaker_refuses_at_the_first_step(breaker: CircuitBreaker, clock: Clock, begin: Callable[..., Any]) -> None:
    trip(breaker)
    stream, kept = begin(breaker, numbers), begin(breaker, numbers)
    with pytest.raises(CircuitOpenError):
        next(stream)
    assert breaker.stats.rejected == 1
    clock.now += 30.0
    assert next(kept) == 0  # it was made while the breaker was open, and begins while it is half-open


@forms
def test_a_trial_lasts_as_long_as_its_stream(half_open: CircuitBreaker, begin: Callable[..., Any]) -> None:
    for _ in range(2):
        stream = begin(half_open, numbers)
        next(stream)
        assert half_open.state == State.HALF_OPEN
        assert list(stream) == [1, 2]
    assert half_open.state == State.CLOSED


@forms
def test_a_trial_is_given_up_after_silence_and_not_for_its_length(
    half_open: CircuitBreaker, clock: Clock, begin: Callable[..., Any]
) -> None:
    for _ in range(2):
        for _ in begin(half_open, numbers):
            clock.now += 0.9 * half_open.policy.trial_timeout
            assert half_open.state == State.HALF_OPEN  # somebody else looks, and time does its work
    assert half_open.state == State.CLOSED
    trip(half_open)
    clock.now += 30.0
    silent = begin(half_open, numbers)
    next(silent)
    clock.now += 1.1 * half_open.policy.trial_timeout
    assert half_open.state == State.OPEN


async def test_a_trial_of_an_async_generator_may_last_as_long(half_open: CircuitBreaker, clock: Clock) -> None:
    for _ in range(2):
        async for _ in half_open.call(numbers_async):
            clock.now += 0.9 * half_open.policy.trial_timeout
            assert half_open.state == State.HALF_OPEN
    assert half_open.state == State.CLOSED


async def test_a_coroutine_that_is_refused_is_closed(half_open: CircuitBreaker) -> None:
    made: list[Coroutine[Any, Any, int]] = []

    async def one() -> int:
        return 1

    def make() -> Coroutine[Any, Any, int]:
        made.append(one())
        return made[-1]

    later = half_open.call(make)
    with suppress(ValueError):
        half_open.call(fail)
    with pytest.raises(CallRejectedError):
        await later
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


def test_a_generator_that_was_dropped_half_way_gives_its_trial_back(half_open: CircuitBreaker) -> None:
    stream = half_open.call(numbers)
    next(stream)
    del stream
    gc.collect()
    assert (half_open.stats.ignored, half_open.state) == (1, State.HALF_OPEN)
    half_open.acquire()


@policies
def test_a_generator_gives_back_what_it_returns(policy: BreakerPolicy) -> None:
    breaker = CircuitBreaker(policy)

    def outer() -> Generator[int, Any, None]:
        assert (yield from breaker.call(numbers)) == "all"

    assert list(outer()) == [0, 1, 2]


def echoes() -> Generator[Any, Any, None]:
    said: Any = "ready"
    while said != "stop":
        try:
            said = yield said
        except LookupError as error:
            said = error


async def echoes_async() -> AsyncGenerator[Any, Any]:
    said: Any = "ready"
    while said != "stop":
        try:
            said = yield said
        except LookupError as error:
            said = error


@policies
@forms
def test_what_is_sent_and_thrown_reaches_the_generator(policy: BreakerPolicy, begin: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(policy)
    stream, error = begin(breaker, echoes), KeyError("caught inside")
    assert [next(stream), stream.send("sent"), stream.throw(error)] == ["ready", "sent", error]
    with pytest.raises(StopIteration):
        stream.send("stop")
    assert counts(breaker) == (1, 0, 0, 0)


@forms
async def test_what_is_sent_and_thrown_reaches_the_async_generator(breaker: CircuitBreaker, begin: Callable[..., Any]) -> None:
    stream, error = begin(breaker, echoes_async), KeyError("caught inside")
    assert [await anext(stream), await stream.asend("sent"), await stream.athrow(error)] == ["ready", "sent", error]
    with pytest.raises(StopAsyncIteration):
        await stream.asend("stop")
    assert counts(breaker) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("thrown", "expected"), [(ValueError, (0, 1, 0, 0)), (KeyboardInterrupt, (0, 0, 1, 0)), (GeneratorExit, (0, 0, 1, 0))]
)
@policies
def test_what_is_thrown_and_not_caught_inside_ends_the_call(
    policy: BreakerPolicy, thrown: type[BaseException], expected: tuple[int, ...]
) -> None:
    breaker = CircuitBreaker(policy)
    stream = breaker.call(echoes)
    next(stream)
    with pytest.raises(thrown):
        stream.throw(thrown("not caught"))
    assert counts(breaker) == expected


async def test_what_is_thrown_into_an_async_generator_and_not_caught_is_a_failure(breaker: CircuitBreaker) -> None:
    stream = breaker.call(echoes_async)
    await anext(stream)
    with pytest.raises(ValueError):
        await stream.athrow(ValueError("not caught"))
    assert counts(breaker) == (0, 1, 0, 0)


@policies
def test_closing_runs_the_generators_own_end_first(policy: BreakerPolicy) -> None:
    breaker = CircuitBreaker(policy)
    seen: list[int] = []

    def careful() -> Generator[int, Any, None]:
        try:
            yield 1
        finally:
            seen.append(breaker.stats.in_flight)

    stream = breaker.call(careful)
    next(stream)
    stream.close()
    assert (seen, counts(breaker)) == ([1], (0, 0, 1, 0))


@policies
def test_an_end_that_raises_when_closed_early_is_a_failure(policy: BreakerPolicy) -> None:
    breaker = CircuitBreaker(policy)

    def broken() -> Generator[int, Any, None]:
        try:
            yield 1
        finally:
            raise ConnectionError("while closing")

    stream = breaker.call(broken)
    next(stream)
    with pytest.raises(ConnectionError, match="while closing"):
        stream.close()
    assert counts(breaker) == (0, 1, 0, 0)


def test_guarded_generator_functions_keep_their_kind_and_name(breaker: CircuitBreaker) -> None:
    guarded, guarded_async = breaker(numbers), breaker(numbers_async)
    assert inspect.isgeneratorfunction(guarded)
    assert inspect.isasyncgenfunction(guarded_async)
    assert (guarded.__name__, guarded.__doc__, guarded().__name__) == ("numbers", "Yields numbers.", "numbers")
    assert str(inspect.signature(guarded_async)) == "(count: 'int' = 3) -> 'AsyncGenerator[int, Any]'"


def test_methods_stream_too(breaker: CircuitBreaker) -> None:
    stream = breaker.call(Client().stream)
    assert breaker.stats.total == 0
    assert list(stream) == [0, 1, 2]
    assert counts(breaker) == (1, 0, 0, 0)


def made() -> Stream:
    return breaks()


@pytest.mark.parametrize("make", [made, partial(breaks)])
@forms
def test_a_generator_that_a_function_made_is_guarded_and_the_making_ignored(begin: Callable[..., Any], make: Any) -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=2))
    for _ in range(2):
        with suppress(ConnectionError):
            list(begin(breaker, make))
    assert (breaker.state, breaker.stats.failed, breaker.stats.successful) == (State.OPEN, 2, 0)
    assert breaker.stats.in_flight == 0


def test_a_block_that_was_left_is_forgotten_though_a_generator_was_made_in_it(breaker: CircuitBreaker) -> None:
    def blocks() -> Any:
        with breaker:
            breaker.call(numbers)
        with CircuitBreaker():
            return innermost()

    assert not isinstance(Context().run(blocks), tuple)  # a context of its own: other tests leave blocks in the one of all tests


def test_recursion_counts_each_level(breaker: CircuitBreaker) -> None:
    @breaker
    def countdown(number: int) -> Generator[int, Any, None]:
        yield number
        if number:
            yield from countdown(number - 1)

    assert list(countdown(3)) == [3, 2, 1, 0]
    assert counts(breaker) == (4, 0, 0, 0)


# Time -----------------------------------------------------------------------------------------------------------------


def test_the_time_that_the_generator_takes_is_the_calls_duration(clock: Clock) -> None:
    def slow() -> Generator[int, Any, None]:
        for number in range(3):
            clock.now += 2.0
            yield number

    breaker = CircuitBreaker(SLOW, clock=clock)
    assert len(list(breaker.call(slow))) == 3
    assert breaker.state == State.OPEN


def test_the_time_that_the_consumer_takes_is_not(clock: Clock) -> None:
    breaker = CircuitBreaker(SLOW, clock=clock)
    for _ in breaker.call(numbers):
        clock.now += 60.0
    assert (breaker.state, breaker.stats.successful) == (State.CLOSED, 1)


async def test_of_an_async_generator_as_well(clock: Clock) -> None:
    async def slow(seconds: float) -> AsyncGenerator[int, Any]:
        clock.now += seconds
        yield 1

    breaker = CircuitBreaker(SLOW, clock=clock)
    async for _ in breaker.call(slow, 4.0):
        clock.now += 60.0
    assert breaker.state == State.CLOSED
    async for _ in breaker.call(slow, 6.0):
        pass
    assert breaker.state == State.OPEN


# Threads and the collector --------------------------------------------------------------------------------------------


def test_the_collector_may_close_a_stream_while_its_thread_holds_the_lock() -> None:
    """With a collection at nearly each allocation, streams in cycles end within the breaker's own critical section."""
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1_000_000))

    def work() -> None:
        for _ in range(300):
            stream: list[Any] = [breaker.call(numbers)]
            next(stream[0])
            stream.append(stream)
            del stream
            with suppress(ZeroDivisionError):
                breaker.call(divmod, 1, 0)

    before = gc.get_threshold()
    gc.set_threshold(3, 1, 1)
    try:
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(20.0)
        assert not worker.is_alive()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert (breaker.stats.ignored, breaker.stats.in_flight) == (300, 0)


def test_streams_of_many_threads_leave_statistics_that_add_up(breaker: CircuitBreaker) -> None:
    def consume(number: int) -> None:
        for turn in range(100):
            with suppress(ConnectionError, CircuitOpenError):
                stream = breaker.call(breaks if (number + turn) % 3 == 0 else numbers)
                next(stream)
                if turn % 2:
                    list(stream)

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert (breaker.stats.total, breaker.stats.in_flight) == (600, 0)
