"""The breaker around calls in this process."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from nodes.circuit import (
    BreakerPolicy,
    CallPermit,
    CallRejectedError,
    CircuitBreaker,
    CircuitOpenError,
    Mode,
    PolicyError,
    State,
    TooManyRequestsError,
)
from tests.circuit.driving import Clock, fail, trip


def test_a_call_gives_its_result_and_is_counted(breaker: CircuitBreaker) -> None:
    assert breaker.call(divmod, 7, 2) == (3, 1)
    assert (breaker.stats.total, breaker.stats.successful) == (1, 1)


def test_an_exception_goes_on_unchanged_and_is_counted(breaker: CircuitBreaker) -> None:
    error = ValueError("the callee is down")

    def raises() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        breaker.call(raises)
    assert caught.value is error
    assert breaker.stats.failed == 1


def test_an_open_breaker_refuses_and_says_when_to_come_back(breaker: CircuitBreaker, clock: Clock) -> None:
    trip(breaker)
    clock.now += 10.0
    with pytest.raises(CircuitOpenError, match=r"orders is open for 20 s") as caught:
        breaker.call(divmod, 1, 1)
    assert caught.value.retry_after == 20.0


def test_a_half_open_breaker_refuses_beyond_its_trials(half_open: CircuitBreaker) -> None:
    half_open.acquire()
    with pytest.raises(TooManyRequestsError) as caught:
        half_open.acquire()
    assert caught.value.retry_after == 60.0
    assert isinstance(caught.value, CallRejectedError)


def test_a_forced_open_breaker_waits_for_a_person(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.force_open("deploy", owner="alice")
    clock.now += 1e6
    with pytest.raises(CircuitOpenError, match="until a person lets it") as caught:
        breaker.acquire()
    assert caught.value.retry_after is None
    assert (breaker.state, breaker.effective, breaker.mode) == (State.CLOSED, State.OPEN, Mode.FORCED_OPEN)


def test_a_forced_mode_ends_by_its_expiry_or_by_hand(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.force_open("deploy", expires=10.0)
    clock.now += 10.0
    assert breaker.effective == State.CLOSED
    breaker.force_open("deploy")
    breaker.auto()
    assert breaker.mode == Mode.AUTO


def test_forced_closed_admits_an_open_breaker_and_metrics_only_lets_it_move(breaker: CircuitBreaker) -> None:
    trip(breaker)
    breaker.force_close("we know better")
    assert breaker.call(divmod, 4, 2) == (2, 0)
    breaker.metrics_only("looking")
    assert (breaker.state, breaker.effective) == (State.OPEN, State.CLOSED)


def test_reset_closes_at_once(breaker: CircuitBreaker) -> None:
    trip(breaker)
    breaker.reset()
    assert breaker.state == State.CLOSED


def test_fifty_threads_against_one_half_open_breaker_run_one_trial(half_open: CircuitBreaker) -> None:
    gate, running = threading.Barrier(50), []
    done = threading.Event()

    def caller(number: int) -> bool:
        gate.wait()
        try:
            permit = half_open.acquire()
        except TooManyRequestsError:
            return False
        running.append(number)
        done.wait(5)
        permit.success()
        return True

    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(caller, number) for number in range(50)]
        while sum(future.done() for future in futures) < 49:
            pass
        done.set()
    assert sum(future.result() for future in futures) == len(running) == 1


def test_many_threads_leave_statistics_that_add_up(breaker: CircuitBreaker) -> None:
    def caller(number: int) -> None:
        for turn in range(40):
            with suppress(ValueError, CallRejectedError):
                breaker.call(fail if (number + turn) % 3 == 0 else list)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(caller, range(8)))
    stats = breaker.stats
    assert stats.total == 8 * 40
    assert stats.in_flight == 0


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_an_interruption_is_ignored_and_goes_on(breaker: CircuitBreaker, interruption: type[BaseException]) -> None:
    def interrupted() -> None:
        raise interruption

    with pytest.raises(interruption):
        breaker.call(interrupted)
    assert (breaker.stats.ignored, breaker.stats.failed) == (1, 0)


def test_exceptions_set_aside_move_no_counter(clock: Clock) -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), clock=clock, ignored_exceptions=(LookupError,))
    nothing: dict[str, int] = {}
    with pytest.raises(KeyError):
        breaker.call(nothing.__getitem__, "missing")
    assert (breaker.state, breaker.stats.ignored) == (State.CLOSED, 1)


def test_an_interrupted_trial_gives_its_place_back(half_open: CircuitBreaker) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_open.call(interrupted)
    assert isinstance(half_open.acquire(), CallPermit)


def test_a_decorated_function_keeps_its_name_and_signature(breaker: CircuitBreaker) -> None:
    @breaker
    def total(first: int, *, second: int = 2) -> int:
        """Adds."""
        return first + second

    assert total(1, second=4) == 5
    assert (total.__name__, total.__doc__) == ("total", "Adds.")
    assert str(inspect.signature(total)) == "(first: 'int', *, second: 'int' = 2) -> 'int'"


async def test_a_decorated_coroutine_function_stays_one(breaker: CircuitBreaker) -> None:
    @breaker
    async def answer() -> int:
        return 42

    assert inspect.iscoroutinefunction(answer)
    assert await answer() == 42
    assert breaker.stats.successful == 1


async def test_a_cancelled_call_is_ignored(breaker: CircuitBreaker) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(breaker.call_async(hang))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (breaker.stats.ignored, breaker.stats.in_flight) == (1, 0)


def test_a_with_block_counts_how_it_ends(breaker: CircuitBreaker) -> None:
    with breaker:
        pass
    with pytest.raises(ValueError), breaker:
        fail()
    assert (breaker.stats.successful, breaker.stats.failed) == (1, 1)


def test_with_blocks_nest(breaker: CircuitBreaker, clock: Clock) -> None:
    other = CircuitBreaker(clock=clock)
    with breaker, other, breaker:
        assert breaker.stats.in_flight == 2
    assert (breaker.stats.successful, other.stats.successful) == (2, 1)


async def test_async_with_blocks_of_many_tasks_do_not_mix(breaker: CircuitBreaker) -> None:
    async def work(number: int) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if number % 2:
                raise ValueError

    await asyncio.gather(*(work(number) for number in range(4)), return_exceptions=True)
    assert (breaker.stats.successful, breaker.stats.failed, breaker.stats.in_flight) == (2, 2, 0)


def test_a_permit_counts_once(breaker: CircuitBreaker) -> None:
    permit = breaker.acquire()
    permit.success(duration=0.1)
    permit.failure()
    permit.ignore()
    assert (breaker.stats.successful, breaker.stats.failed, breaker.stats.ignored) == (1, 0, 0)


def test_a_policy_that_cannot_work_makes_no_breaker() -> None:
    with pytest.raises(PolicyError, match="success threshold"):
        CircuitBreaker(BreakerPolicy(success_threshold=0))


def restored(breaker: CircuitBreaker, elapsed: float) -> CircuitBreaker:
    """The same breaker in a process that began `elapsed` wall seconds later, on a monotonic clock of its own."""
    later: Callable[[], float] = lambda: breaker.snapshot()["taken_at"] + elapsed  # noqa: E731 - one expression
    return CircuitBreaker.restore(breaker.policy, breaker.snapshot(), clock=lambda: 5.0, wall_clock=later)


def test_a_restored_breaker_keeps_what_is_left_of_its_wait(clock: Clock) -> None:
    breaker = CircuitBreaker(clock=clock, wall_clock=lambda: 1e9)
    trip(breaker)
    clock.now += 10.0
    with pytest.raises(CircuitOpenError) as caught:
        restored(breaker, 5.0).acquire()
    assert caught.value.retry_after == pytest.approx(15.0)


def test_a_restored_breaker_whose_wait_has_passed_is_half_open_at_once(clock: Clock) -> None:
    breaker = CircuitBreaker(clock=clock, wall_clock=lambda: 1e9)
    trip(breaker)
    assert restored(breaker, 60.0).state == State.HALF_OPEN


def test_a_restored_breaker_has_no_call_in_flight_and_its_mode_goes_on(clock: Clock) -> None:
    breaker = CircuitBreaker(clock=clock, wall_clock=lambda: 1e9)
    breaker.acquire()
    breaker.force_open("deploy", owner="alice", expires=60.0)
    again = restored(breaker, 20.0)
    assert (again.stats.in_flight, again.mode) == (0, Mode.FORCED_OPEN)
    assert restored(breaker, 60.0).mode == Mode.AUTO


def test_a_wall_clock_that_was_set_back_lengthens_no_wait(clock: Clock) -> None:
    breaker = CircuitBreaker(clock=clock, wall_clock=lambda: 1e9)
    trip(breaker)
    with pytest.raises(CircuitOpenError) as caught:
        restored(breaker, -3600.0).acquire()
    assert caught.value.retry_after == pytest.approx(30.0)
