"""How other breakers behave, a row each in our own words, and whether ours does the same.

Of `SAME` and `DIFFERS` rows, `ours` shows what this breaker does; of `NOT_OFFERED` ones, what there is instead.  Where the other
library is installed, `theirs` shows that it still behaves as the row says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import circuitbreaker
import purgatory
import pybreaker
import pytest

from nodes.circuit import BreakerPolicy, CircuitBreaker, CircuitOpenError, Mode, PolicyError, State, TooManyRequestsError
from tests.circuit.driving import Clock, fail, trip


class Verdict(StrEnum):
    SAME = "same"
    DIFFERS = "differs by design"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True)
class Row:
    """What a peer does, and what that is to us; `why` is for whatever is not the same."""

    peer: str
    behaviour: str
    verdict: Verdict
    ours: Callable[[], bool]
    why: str = ""
    theirs: Callable[[], bool] | None = None


def new(**policy: Any) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(BreakerPolicy(**policy), clock=clock), clock


def half_open(**policy: Any) -> tuple[CircuitBreaker, Clock]:
    breaker, clock = new(**policy)
    trip(breaker)
    clock.now += 30.0
    return breaker, clock


def attempt(breaker: CircuitBreaker, error: type[BaseException] | None = None) -> None:
    with suppress(BaseException), breaker:
        if error is not None:
            raise error


def stream() -> Generator[int, Any, None]:
    yield 1
    yield 2


# What ours does -------------------------------------------------------------------------------------------------------


def opens_at_the_fifth_failure_in_a_row() -> bool:
    breaker, _ = new()
    for error in (ValueError,) * 4:
        attempt(breaker, error)
    before = breaker.state
    attempt(breaker, ValueError)
    return (before, breaker.state) == (State.CLOSED, State.OPEN)


def a_success_ends_the_run() -> bool:
    breaker, _ = new(failure_threshold=2)
    for error in (ValueError, None, ValueError):
        attempt(breaker, error)
    return breaker.state == State.CLOSED


def the_opening_failure_goes_on_unchanged() -> bool:
    breaker, _ = new(failure_threshold=1)
    with pytest.raises(ValueError, match="the callee is down"):
        breaker.call(fail)
    return breaker.state == State.OPEN


def threads_call_at_the_same_time() -> bool:
    breaker, both = CircuitBreaker(), threading.Barrier(2, timeout=10)
    threads = [threading.Thread(target=breaker.call, args=(both.wait,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return breaker.stats.successful == 2


def an_interruption_is_ignored() -> bool:
    breaker, _ = new(failure_threshold=1)
    attempt(breaker, KeyboardInterrupt)
    return (breaker.stats.ignored, breaker.state) == (1, State.CLOSED)


def an_ignored_exception_does_not_end_the_run() -> bool:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=2), ignored_exceptions=(LookupError,))
    for error in (ValueError, KeyError, ValueError):
        attempt(breaker, error)
    return breaker.state == State.OPEN


def an_exception_denied_by_failure_if_is_a_success() -> bool:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=2), failure_if=lambda error: not isinstance(error, LookupError))
    for error in (ValueError, KeyError, ValueError):
        attempt(breaker, error)
    return (breaker.state, breaker.stats.successful) == (State.CLOSED, 1)


def a_bad_result_is_a_failure() -> bool:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), failure_if_result=lambda status: status >= 500)
    return breaker.call(lambda: 503) == 503 and breaker.state == State.OPEN


def a_stream_closed_early_is_ignored() -> bool:
    breaker, _ = new(failure_threshold=1)
    guarded = breaker.call(stream)
    next(guarded)
    guarded.close()
    return (breaker.stats.ignored, breaker.state) == (1, State.CLOSED)


def a_stream_is_counted_when_it_ends() -> bool:
    breaker, _ = new()
    guarded = breaker.call(stream)
    next(guarded)
    during = breaker.stats.successful
    return (len(list(guarded)), during, breaker.stats.successful) == (1, 0, 1)


def one_trial_at_a_time() -> bool:
    breaker, _ = half_open()
    breaker.acquire()
    with pytest.raises(TooManyRequestsError):
        breaker.acquire()
    return True


def two_good_trials_close_it() -> bool:
    breaker, _ = half_open()
    attempt(breaker)
    between = breaker.state
    attempt(breaker)
    return (between, breaker.state) == (State.HALF_OPEN, State.CLOSED)


def one_failed_trial_opens_it() -> bool:
    breaker, _ = half_open(max_requests=10, success_threshold=10)
    for error in (None, None, ValueError):
        attempt(breaker, error)
    return breaker.state == State.OPEN


def a_trial_that_is_never_reported_lapses() -> bool:
    breaker, clock = half_open(trial_timeout=60.0)
    breaker.acquire()
    clock.now += 60.0 + 30.0
    breaker.acquire()
    return breaker.stats.failed == 6


def a_late_result_changes_nothing() -> bool:
    breaker, clock = new(failure_threshold=1, success_threshold=1)
    old = breaker.acquire()
    trip(breaker)
    clock.now += 30.0
    with breaker:
        old.failure()
    return (breaker.state, breaker.stats.late) == (State.CLOSED, 1)


def the_state_tells_that_the_wait_is_over() -> bool:
    return half_open()[0].state == State.HALF_OPEN


def a_rate_opens_when_it_is_reached() -> bool:
    breaker, _ = new(failure_threshold=None, failure_rate=0.5, window_calls=10, minimum_calls=4)
    for error in (None, None, ValueError, ValueError):
        attempt(breaker, error)
    return breaker.state == State.OPEN


def no_rate_counts_below_the_minimum() -> bool:
    breaker, _ = new(failure_threshold=None, failure_rate=0.5, window_calls=10, minimum_calls=4)
    for error in (ValueError,) * 3:
        attempt(breaker, error)
    return breaker.state == State.CLOSED


def a_slow_trial_opens_it() -> bool:
    breaker, _ = half_open(slow_call_rate=1.0, slow_call_duration=2.0, window_calls=10)
    breaker.acquire().success(duration=3.0)
    return breaker.state == State.OPEN


def the_wait_grows_with_each_reopening() -> bool:
    breaker, clock = half_open(timeout_multiplier=2.0)
    attempt(breaker, ValueError)
    clock.now += 59.0
    return (breaker.state, breaker.snapshot()["remaining"]) == (State.OPEN, 1.0)


def modes_leave_the_computed_state_alone() -> bool:
    breaker, _ = new()
    breaker.force_open("deploy")
    return (breaker.state, breaker.effective, breaker.mode) == (State.CLOSED, State.OPEN, Mode.FORCED_OPEN)


def metrics_only_admits_while_the_state_moves() -> bool:
    breaker, _ = new(failure_threshold=1)
    breaker.metrics_only("looking")
    attempt(breaker, ValueError)
    breaker.acquire()
    return breaker.state == State.OPEN


def a_listener_may_ask_the_breaker() -> bool:
    seen: list[State] = []
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), on_change=lambda each, *_: seen.append(each.state))
    trip(breaker)
    return seen == [State.OPEN]


def the_refusal_names_the_last_failure_and_the_wait() -> bool:
    breaker, clock = new(failure_threshold=1)
    trip(breaker)
    clock.now += 10.0
    with pytest.raises(CircuitOpenError) as caught:
        breaker.acquire()
    return isinstance(caught.value.__cause__, ValueError) and caught.value.retry_after == 20.0


def there_is_no_setting(**unknown: Any) -> Callable[[], bool]:
    def refused() -> bool:
        with pytest.raises(TypeError):
            CircuitBreaker(BreakerPolicy(), **unknown)
        return True

    return refused


def a_snapshot_carries_it_over() -> bool:
    breaker, _ = new(failure_threshold=1)
    trip(breaker)
    return CircuitBreaker.restore(breaker.policy, breaker.snapshot()).state == State.OPEN


def a_policy_that_cannot_work_is_refused() -> bool:
    with pytest.raises(PolicyError):
        CircuitBreaker(BreakerPolicy(timeout=-1.0))
    return True


# What theirs does, where it is installed ------------------------------------------------------------------------------


def pybreaker_counts_an_interruption() -> bool:
    breaker = pybreaker.CircuitBreaker(fail_max=3)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        breaker.call(interrupted)
    return breaker.fail_counter == 1


def pybreaker_hides_the_failure_that_opens() -> bool:
    with pytest.raises(pybreaker.CircuitBreakerError):
        pybreaker.CircuitBreaker(fail_max=1).call(fail)
    return True


def pybreaker_counts_a_closed_stream() -> bool:
    breaker = pybreaker.CircuitBreaker(fail_max=3)
    guarded = breaker.call(stream)
    next(guarded)
    with suppress(BaseException):
        guarded.close()
    return breaker.fail_counter == 1


def pybreaker_takes_an_excluded_exception_as_a_success() -> bool:
    breaker = pybreaker.CircuitBreaker(fail_max=3, exclude=[KeyError])
    with suppress(ValueError):
        breaker.call(fail)
    with suppress(KeyError):
        breaker.call({}.__getitem__, 1)
    return breaker.fail_counter == 0


def circuitbreaker_takes_a_closed_stream_as_a_success() -> bool:
    breaker = circuitbreaker.CircuitBreaker(name="peer")
    with suppress(ValueError):
        breaker(fail)()
    guarded = breaker(stream)()
    next(guarded)
    guarded.close()
    return breaker.failure_count == 0


def circuitbreaker_call_refuses_nothing() -> bool:
    breaker = circuitbreaker.CircuitBreaker(name="peer", failure_threshold=1)
    with suppress(ValueError):
        breaker(fail)()
    return breaker.opened and breaker.call(int) == 0


def purgatory_counts_an_interruption() -> bool:
    factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1)
    with suppress(KeyboardInterrupt), factory.get_breaker("peer"):
        raise KeyboardInterrupt
    return bool(factory.get_breaker("peer").context.state == "opened")


def purgatory_raises_one_exception_again_and_again() -> bool:
    factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1)
    with suppress(ValueError), factory.get_breaker("peer"):
        fail()
    raised = []
    for _ in range(2):
        try:
            factory.get_breaker("peer").__enter__()
        except Exception as error:
            raised.append(error)
    return raised[0] is raised[1]


def refusals_are_exceptions_of_their_own() -> bool:
    breaker, _ = new(failure_threshold=1)
    trip(breaker)
    raised = []
    for _ in range(2):
        try:
            breaker.acquire()
        except CircuitOpenError as error:
            raised.append(error)
    return raised[0] is not raised[1]


S, D, N = Verdict
ROWS = [
    Row("pybreaker", "opens at the fifth failure in a row", S, opens_at_the_fifth_failure_in_a_row),
    Row("pybreaker", "a success sets the count of failures back", S, a_success_ends_the_run),
    Row("pybreaker", "the failure that opens it is replaced by the breaker's own exception", D,
        the_opening_failure_goes_on_unchanged,
        "the caller handles the callee's exception in one place, whether or not it opened something",
        pybreaker_hides_the_failure_that_opens),
    Row("pybreaker", "calls go one at a time, under the lock", D, threads_call_at_the_same_time,
        "a slow callee would make all threads wait for each other"),
    Row("pybreaker", "an interruption is a failure", D, an_interruption_is_ignored,
        "it ends the caller and says nothing about the callee", pybreaker_counts_an_interruption),
    Row("pybreaker", "an excluded exception is a success", D, an_ignored_exception_does_not_end_the_run,
        "ignored means neither; failure_if is there for an exception that proves the callee well",
        pybreaker_takes_an_excluded_exception_as_a_success),
    Row("pybreaker", "a generator closed early is a failure", D, a_stream_closed_early_is_ignored,
        "the consumer had enough; the callee did nothing wrong", pybreaker_counts_a_closed_stream),
    Row("pybreaker", "the state is shared through Redis", N, a_snapshot_carries_it_over,
        "a breaker of this process needs no network; a snapshot carries it over, and the console keeps one per node for all"),
    Row("circuitbreaker", "the state reads half-open once the wait is over, without a call", S,
        the_state_tells_that_the_wait_is_over),
    Row("circuitbreaker", "a predicate decides whether an exception is a failure, and else it is a success", S,
        an_exception_denied_by_failure_if_is_a_success),
    Row("circuitbreaker", "a generator is counted when its iteration ends", S, a_stream_is_counted_when_it_ends),
    Row("circuitbreaker", "a generator closed early is a success", D, a_stream_closed_early_is_ignored,
        "a stream that was cut short proves nothing, and must not end a run of failures",
        circuitbreaker_takes_a_closed_stream_as_a_success),
    Row("circuitbreaker", "half-open, any number of calls goes through", D, one_trial_at_a_time,
        "all the traffic at once would strike a callee that has only just come back"),
    Row("circuitbreaker", "call and with refuse nothing, the decorator alone does", D, one_trial_at_a_time,
        "every form of guarding keeps the same rules", circuitbreaker_call_refuses_nothing),
    Row("circuitbreaker", "a fallback function takes the place of refused calls", N, there_is_no_setting(fallback_function=int),
        "except CallRejectedError says the same where the reader looks for it"),
    Row("purgatory", "one failed trial opens it again", S, one_failed_trial_opens_it),
    Row("purgatory", "an interruption is a failure", D, an_interruption_is_ignored,
        "it ends the caller and says nothing about the callee", purgatory_counts_an_interruption),
    Row("purgatory", "one exception object is raised at every refusal", D, refusals_are_exceptions_of_their_own,
        "its trace grows with every refusal, a kilobyte each", purgatory_raises_one_exception_again_and_again),
    Row("purgatory", "breakers come from a factory that knows them by name", N, there_is_no_setting(factory=None),
        "a breaker is an object that its owner keeps; a dictionary is a registry"),
    Row("gobreaker", "a permit carries its generation, and a late result changes nothing", S, a_late_result_changes_nothing),
    Row("gobreaker", "more than five failures in a row open it", D, opens_at_the_fifth_failure_in_a_row,
        "a threshold is reached, not passed: five means five"),
    Row("gobreaker", "as many successes close it as requests were let through half-open", D, two_good_trials_close_it,
        "how many run at a time and how many are proof enough are two questions"),
    Row("gobreaker", "half-open, a request that never reports holds its place for ever", D, a_trial_that_is_never_reported_lapses,
        "no sequence of calls may lock a breaker up"),
    Row("gobreaker", "listeners hear changes under the lock", D, a_listener_may_ask_the_breaker,
        "a listener that asks the breaker would wait for ever"),
    Row("gobreaker", "counts are cleared at a fixed interval while closed", N, there_is_no_setting(interval=60.0),
        "window_seconds forgets a tenth at a time, so that no failure is forgotten because of when it happened"),
    Row("resilience4j", "a rate that reaches its threshold opens it", S, a_rate_opens_when_it_is_reached),
    Row("resilience4j", "no rate counts below a least number of calls", S, no_rate_counts_below_the_minimum),
    Row("resilience4j", "ignored exceptions are neither success nor failure", S, an_ignored_exception_does_not_end_the_run),
    Row("resilience4j", "an exception that is not recorded is a success", S, an_exception_denied_by_failure_if_is_a_success),
    Row("resilience4j", "a predicate on results makes some of them failures", S, a_bad_result_is_a_failure),
    Row("resilience4j", "metrics only: everything is let through and counted", S, metrics_only_admits_while_the_state_moves),
    Row("resilience4j", "slow trials count half-open as well, by their rate", D, a_slow_trial_opens_it,
        "with a trial or two at a time a rate is no measure: one slow trial is one failed trial"),
    Row("resilience4j", "half-open, the rate over ten calls decides", D, one_failed_trial_opens_it,
        "nine more callers need not pay for what the first has shown"),
    Row("resilience4j", "a result of a call begun while closed counts as a trial", D, a_late_result_changes_nothing,
        "it tells how the callee was before it was given time to recover"),
    Row("resilience4j", "forced open, disabled and metrics only are states", D, modes_leave_the_computed_state_alone,
        "what a person wants and what the calls say are kept apart, so that the end of the one brings back the other"),
    Row("resilience4j", "the wait may grow with each reopening", S, the_wait_grows_with_each_reopening),
    Row("Polly", "the refusal holds the exception that broke the circuit, and when to come back", S,
        the_refusal_names_the_last_failure_and_the_wait),
    Row("Polly", "a circuit isolated by hand stays so until it is closed by hand", S, modes_leave_the_computed_state_alone),
    Row("Polly", "half-open, one probe at a time", S, one_trial_at_a_time),
    Row("Polly", "a single good probe closes it", D, two_good_trials_close_it,
        "one answer may be luck; success_threshold=1 is there for who wants it"),
    Row("Polly", "a policy out of range is refused when it is made", S, a_policy_that_cannot_work_is_refused),
    Row("Polly", "retries, time-outs and hedging are chained with it", N, there_is_no_setting(retry=3),
        "it is a breaker; what retries goes around it and what times out inside it"),
]  # fmt: skip  # a row is read as one


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.peer}: {row.behaviour}")
def test_ours(row: Row) -> None:
    assert row.ours()


@pytest.mark.parametrize("row", [row for row in ROWS if row.theirs], ids=lambda row: f"{row.peer}: {row.behaviour}")
def test_theirs(row: Row) -> None:
    assert row.theirs is not None
    assert row.theirs()


def test_whatever_is_not_the_same_says_why() -> None:
    assert [row.behaviour for row in ROWS if (row.verdict != Verdict.SAME) != bool(row.why)] == []


def test_every_peer_has_rows_and_no_row_stands_twice() -> None:
    assert {row.peer for row in ROWS} == {"pybreaker", "circuitbreaker", "purgatory", "gobreaker", "resilience4j", "Polly"}
    assert len({(row.peer, row.behaviour) for row in ROWS}) == len(ROWS)
