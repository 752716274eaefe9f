"""Which outcome a call has, by the predicates on exception and result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from nodes.circuit import BreakerPolicy, CircuitBreaker, State
from tests.circuit.driving import Clock

ONE = BreakerPolicy(failure_threshold=1)


class AnswerError(Exception):
    """An exception with the status of an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def raises(error: BaseException) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


def is_server_error(error: Exception) -> bool:
    return not isinstance(error, AnswerError) or error.status >= 500


def counts(breaker: CircuitBreaker) -> tuple[int, int, int]:
    return breaker.stats.successful, breaker.stats.failed, breaker.stats.ignored


def through_call(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker.call(fn)


def through_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker(fn)()


def through_call_async(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def awaited() -> Any:
        return fn()

    return asyncio.run(breaker.call_async(awaited))


def through_coroutine_function(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    @breaker
    async def awaited() -> Any:
        return fn()

    return asyncio.run(awaited())


def through_with(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker:
        return fn()


RETURNING = [through_call, through_decorator, through_call_async, through_coroutine_function]
FORMS = [*RETURNING, through_with]
forms = pytest.mark.parametrize("through", FORMS)
returning = pytest.mark.parametrize("through", RETURNING)


@forms
def test_an_exception_that_failure_if_denies_goes_on_and_counts_as_a_success(through: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(ONE, failure_if=is_server_error)
    with pytest.raises(AnswerError):
        through(breaker, raises(AnswerError(404)))
    assert (counts(breaker), breaker.state) == ((1, 0, 0), State.CLOSED)


@forms
def test_an_exception_that_failure_if_confirms_is_a_failure(through: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(ONE, failure_if=is_server_error)
    with pytest.raises(AnswerError):
        through(breaker, raises(AnswerError(503)))
    assert (counts(breaker), breaker.state) == ((0, 1, 0), State.OPEN)


@returning
def test_a_result_that_failure_if_result_confirms_is_given_back_and_is_a_failure(through: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(ONE, failure_if_result=lambda status: status >= 500)
    assert through(breaker, lambda: 503) == 503
    assert (counts(breaker), breaker.state) == ((0, 1, 0), State.OPEN)


@returning
def test_a_result_that_failure_if_result_denies_is_a_success(through: Callable[..., Any]) -> None:
    breaker = CircuitBreaker(ONE, failure_if_result=lambda status: status >= 500)
    assert through(breaker, lambda: 200) == 200
    assert (counts(breaker), breaker.state) == ((1, 0, 0), State.CLOSED)


def test_a_block_has_no_result_to_judge() -> None:
    breaker = CircuitBreaker(ONE, failure_if_result=lambda _: True)
    with breaker:
        pass
    assert counts(breaker) == (1, 0, 0)


def test_an_exception_denied_ends_a_run_of_failures() -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=2), failure_if=is_server_error)
    for status in (503, 404, 503):
        with suppress(AnswerError):
            breaker.call(raises(AnswerError(status)))
    assert (counts(breaker), breaker.state) == ((1, 2, 0), State.CLOSED)


def test_an_exception_denied_is_a_good_trial(clock: Clock) -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1, success_threshold=1), clock=clock, failure_if=is_server_error)
    with suppress(AnswerError):
        breaker.call(raises(AnswerError(500)))
    clock.now += 30.0
    with suppress(AnswerError):
        breaker.call(raises(AnswerError(404)))
    assert breaker.state == State.CLOSED


def test_a_bad_result_is_a_failed_trial(clock: Clock) -> None:
    breaker = CircuitBreaker(ONE, clock=clock, failure_if_result=lambda result: result is None)
    breaker.call(lambda: None)
    clock.now += 30.0
    breaker.call(lambda: None)
    assert (breaker.state, breaker.stats.opened) == (State.OPEN, 2)


def test_ignored_exceptions_and_interruptions_are_no_matter_for_failure_if() -> None:
    asked: list[BaseException] = []
    breaker = CircuitBreaker(ONE, ignored_exceptions=(LookupError,), failure_if=lambda error: not asked.append(error))
    for error in (KeyError("missing"), KeyboardInterrupt(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            breaker.call(raises(error))
    assert (counts(breaker), asked) == ((0, 0, 3), [])


def test_a_predicate_on_exceptions_that_raises_is_logged_and_the_exception_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker(ONE, name="orders", failure_if=lambda error: error.status >= 500)  # type: ignore[attr-defined]  # so it raises
    with pytest.raises(ValueError, match="no status"):
        breaker.call(raises(ValueError("no status")))
    assert (counts(breaker), breaker.state) == ((0, 1, 0), State.OPEN)
    assert "a predicate of circuit breaker orders failed" in caplog.text


def test_a_predicate_on_results_that_raises_is_logged_and_the_result_is_a_success(caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker(ONE, name="orders", failure_if_result=lambda result: result.status >= 500)
    assert breaker.call(lambda: "no status") == "no status"
    assert (counts(breaker), breaker.state) == ((1, 0, 0), State.CLOSED)
    assert "a predicate of circuit breaker orders failed" in caplog.text


def test_a_predicate_may_ask_the_breaker_for_no_lock_is_held() -> None:
    breaker: CircuitBreaker
    breaker = CircuitBreaker(ONE, failure_if_result=lambda _: breaker.stats.in_flight == 1)
    breaker.call(int)
    assert (counts(breaker), breaker.state) == ((0, 1, 0), State.OPEN)


@pytest.mark.parametrize("policy", [BreakerPolicy(), BreakerPolicy(failure_rate=0.9, window_calls=20)])
def test_predicates_hold_with_a_window_as_well(policy: BreakerPolicy) -> None:
    breaker = CircuitBreaker(policy, failure_if=is_server_error, failure_if_result=lambda result: result == "bad")
    for ends in (lambda: "good", lambda: "bad", raises(AnswerError(404)), raises(AnswerError(500))):
        with suppress(AnswerError):
            breaker.call(ends)
    assert (counts(breaker), breaker.stats.in_flight) == ((2, 2, 0), 0)


SLOW = BreakerPolicy(
    slow_call_rate=0.5, slow_call_duration=2.0, window_calls=4, minimum_calls=2, timeout=10.0, timeout_multiplier=2.0
)


@forms
def test_a_slow_trial_opens_it_again_for_longer_each_time(through: Callable[..., Any], clock: Clock) -> None:
    def slow() -> None:
        clock.now += 3.0

    breaker = CircuitBreaker(SLOW, clock=clock)
    waits = []
    through(breaker, slow)
    for _ in range(4):
        through(breaker, slow)
        waits.append(breaker.snapshot()["remaining"])
        clock.now += waits[-1]
    assert waits == [10.0, 20.0, 40.0, 80.0]


@forms
def test_a_trial_that_is_not_slow_closes_it(through: Callable[..., Any], clock: Clock) -> None:
    def work() -> None:
        clock.now += took

    breaker, took = CircuitBreaker(SLOW, clock=clock), 3.0
    through(breaker, work)
    through(breaker, work)
    clock.now += 10.0
    took = 2.0
    through(breaker, work)
    through(breaker, work)
    assert breaker.state == State.CLOSED
