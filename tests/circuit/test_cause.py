"""The last failure as `__cause__` of a refusal, and how long a breaker keeps it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from nodes.circuit import BreakerPolicy, CallRejectedError, CircuitBreaker, CircuitOpenError, TooManyRequestsError
from tests.circuit.driving import Clock

TWO = BreakerPolicy(failure_threshold=2, success_threshold=1)


def raises(error: BaseException) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


def opened(clock: Clock, *errors: Exception) -> CircuitBreaker:
    breaker = CircuitBreaker(TWO, clock=clock)
    for error in errors:
        with suppress(type(error)):
            breaker.call(raises(error))
    return breaker


def refusal(ask: Callable[[], object]) -> CallRejectedError:
    with pytest.raises(CallRejectedError) as caught:
        ask()
    return caught.value


def test_every_form_of_refusal_names_the_last_failure(clock: Clock) -> None:
    async def answer() -> None: ...

    last = ConnectionError("refused")
    breaker = opened(clock, ValueError("first"), last)
    asks: list[Callable[[], object]] = [
        breaker.acquire,
        breaker.__enter__,
        lambda: breaker.call(int),
        breaker(lambda: None),
        lambda: asyncio.run(breaker.call_async(answer)),
        lambda: next(breaker.call(iterating)),
    ]
    for ask in asks:
        found = refusal(ask)
        assert (type(found), found.__cause__) == (CircuitOpenError, last)


def iterating() -> object:
    yield 1


def test_a_refusal_beyond_the_trials_names_it_as_well(clock: Clock) -> None:
    last = ConnectionError("refused")
    breaker = opened(clock, ValueError(), last)
    clock.now += 30.0
    breaker.acquire()
    found = refusal(breaker.acquire)
    assert (type(found), found.__cause__) == (TooManyRequestsError, last)


def test_a_failed_trial_is_the_last_failure(clock: Clock) -> None:
    breaker, trial = opened(clock, ValueError(), ValueError()), TimeoutError("trial")
    clock.now += 30.0
    with suppress(TimeoutError):
        breaker.call(raises(trial))
    assert refusal(breaker.acquire).__cause__ is trial


def test_a_rate_that_is_reached_on_a_success_names_the_failure_before_it(clock: Clock) -> None:
    last = ValueError("last")
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_calls=4, minimum_calls=4), clock=clock)
    for work in (raises(KeyError()), raises(last), int, int):
        with suppress(KeyError, ValueError):
            breaker.call(work)
    assert refusal(breaker.acquire).__cause__ is last


def test_an_ignored_exception_is_no_failure(clock: Clock) -> None:
    last = ValueError("last")
    breaker = opened(clock, ValueError(), last)
    clock.now += 30.0
    with suppress(KeyboardInterrupt):
        breaker.call(raises(KeyboardInterrupt()))
    breaker.acquire()
    assert refusal(breaker.acquire).__cause__ is last


def test_a_reported_failure_names_what_it_is_given(clock: Clock) -> None:
    breaker, last = CircuitBreaker(TWO, clock=clock), ConnectionError("reported")
    breaker.acquire().failure()
    breaker.acquire().failure(error=last)
    assert refusal(breaker.acquire).__cause__ is last


def test_a_failure_without_an_exception_names_none(clock: Clock) -> None:
    breaker = CircuitBreaker(TWO, clock=clock, failure_if_result=lambda result: result == 0)
    with suppress(ValueError):
        breaker.call(raises(ValueError("not the last")))
    breaker.call(int)
    assert refusal(breaker.acquire).__cause__ is None


def test_a_breaker_that_a_person_opened_names_none(clock: Clock) -> None:
    breaker = CircuitBreaker(TWO, clock=clock)
    breaker.force_open("deploy")
    assert refusal(breaker.acquire).__cause__ is None


class HeldError(ConnectionError):
    """An exception that can be seen to go away."""


def held(breaker: CircuitBreaker) -> weakref.ref[HeldError]:
    error = HeldError("refused")
    with suppress(HeldError):
        breaker.call(raises(error))
    return weakref.ref(error)


def test_a_failure_is_let_go_when_the_breaker_closes(clock: Clock) -> None:
    breaker = opened(clock, ValueError())
    seen = held(breaker)
    clock.now += 30.0
    gc.collect()
    assert seen() is not None
    breaker.call(int)
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("policy", [TWO, BreakerPolicy(failure_rate=0.9, window_calls=2, minimum_calls=2)])
def test_a_failure_is_let_go_when_nothing_counted_speaks_of_it(policy: BreakerPolicy, clock: Clock) -> None:
    breaker = CircuitBreaker(policy, clock=clock)
    seen = held(breaker)
    for _ in range(3):
        breaker.call(int)
    breaker.reset()
    gc.collect()
    assert seen() is None


def test_refusals_do_not_lengthen_the_trace_of_the_failure(clock: Clock) -> None:
    last = ConnectionError("refused")
    breaker = opened(clock, ValueError(), last)
    before = last.__traceback__
    for _ in range(5):
        refusal(breaker.acquire)
    assert last.__traceback__ is before
