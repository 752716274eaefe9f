"""The faults of the reference implementation that this one must not have, one test each."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nodes.circuit import BreakerPolicy, CallRejectedError, CircuitBreaker, State
from nodes.engine.enums import EventType, Severity
from nodes.engine.types import HealthPolicy
from tests.engine.pooling import Driver, make_pool

THREADS = 50


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def down() -> None:
    raise ConnectionError


def half_open() -> tuple[CircuitBreaker, Clock]:
    """A breaker with the default settings, half-open."""
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    for _ in range(5):
        with pytest.raises(ConnectionError):
            breaker.call(down)
    clock.now += 30.0
    assert breaker.state == State.HALF_OPEN
    return breaker, clock


def test_1_default_settings_do_not_lock_the_breaker_up_in_half_open() -> None:
    breaker, _ = half_open()
    breaker.call(list)
    breaker.call(list)
    assert breaker.state == State.CLOSED


def test_2_the_half_open_limit_counts_calls_in_flight() -> None:
    breaker, _ = half_open()
    refused, release = threading.Semaphore(0), threading.Event()

    def caller(_: int) -> bool:
        try:
            breaker.call(release.wait, 10)
        except CallRejectedError:
            refused.release()
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        answers = pool.map(caller, range(THREADS))
        for _ in range(THREADS - 1):
            refused.acquire()
        release.set()
        assert sum(answers) == 1


def test_3_a_failure_admitted_while_closed_leaves_half_open_alone() -> None:
    clock = Clock()
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), clock=clock)
    old = breaker.acquire()
    with pytest.raises(ConnectionError):
        breaker.call(down)
    clock.now += 30.0
    breaker.acquire().success()
    old.failure()
    assert (breaker.state, breaker.stats.late) == (State.HALF_OPEN, 1)


def test_4_a_forced_state_does_not_time_out() -> None:
    breaker, clock = half_open()
    breaker.force_open("deploy")
    clock.now += 1e9
    assert breaker.effective == State.OPEN


def test_5_the_state_can_be_read_inside_the_change_callback() -> None:
    heard: list[State] = []
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), on_change=lambda each, *_: heard.append(each.state))
    with pytest.raises(ConnectionError):
        breaker.call(down)
    assert heard == [State.OPEN]


def test_6_a_call_that_raises_is_counted() -> None:
    breaker = CircuitBreaker()
    with pytest.raises(ConnectionError):
        breaker.call(down)
    assert (breaker.stats.total, breaker.stats.failed) == (1, 1)


def test_7_ten_failing_checks_are_one_critical_event() -> None:
    driver = Driver(make_pool(health=HealthPolicy(failure_threshold=3))).up()
    for _ in range(10):
        driver.batch("A=p B=f C=p")
    critical = [event.type for event in driver.events if event.severity == Severity.CRITICAL]
    assert critical == [EventType.NODE_MARKED_FAILED]


def test_8_when_all_nodes_fail_together_the_shares_stay_and_each_refusal_is_told() -> None:
    driver = Driver().up()
    before = driver.shares
    done = driver.batch("A=f B=f C=f")
    assert driver.shares == before
    assert [event.node for event in done.events if event.type == EventType.FAILOVER_REFUSED] == [1, 2, 3]


def test_9_between_started_and_completed_a_receiver_is_really_checked() -> None:
    driver = Driver().up()
    driver.batch("B=f")
    assert driver.told(EventType.FAILOVER_COMPLETED) == []
    driver.batch()
    assert driver.told(EventType.FAILOVER_COMPLETED) == []
    driver.batch("C=p")
    assert [event.node for event in driver.told(EventType.FAILOVER_COMPLETED)] == [2]


def test_10_a_failover_and_its_recovery_emit_their_whole_course_with_decisions() -> None:
    """That every value of every enumeration is reached is shown one by one in test_enumerations."""
    driver = Driver().up()
    first = len(driver.events)
    for text in ("B=f", "C=p", "B=p"):
        driver.batch(text)
    assert [event.type for event in driver.events[first:]] == [
        EventType.HEALTH_CHECK_FAILED,
        EventType.NODE_MARKED_FAILED,
        EventType.FAILOVER_STARTED,
        EventType.FAILOVER_COMPLETED,
        EventType.RECOVERY_STARTED,
        EventType.RECOVERY_COMPLETED,
    ]
