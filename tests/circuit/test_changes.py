"""What `on_change` hears: changes of state, forced modes and their ends, each outside the lock."""

from __future__ import annotations

from contextlib import suppress

import pytest

from nodes.circuit import BreakerPolicy, CallRejectedError, CircuitBreaker, Mode, PolicyError, State
from tests.circuit.driving import Clock, fail, trip

Heard = list[tuple[State | Mode, State | Mode]]


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def breaker(clock: Clock, heard: Heard) -> CircuitBreaker:
    return CircuitBreaker(
        BreakerPolicy(failure_threshold=2, success_threshold=1),
        clock=clock,
        on_change=lambda _, before, after: heard.append((before, after)),
    )


def test_every_change_of_state_is_heard(breaker: CircuitBreaker, heard: Heard, clock: Clock) -> None:
    trip(breaker)
    clock.now += 30.0
    breaker.call(int)
    assert heard == [(State.CLOSED, State.OPEN), (State.OPEN, State.HALF_OPEN), (State.HALF_OPEN, State.CLOSED)]


def test_a_reset_is_heard_when_it_closes_something(breaker: CircuitBreaker, heard: Heard) -> None:
    breaker.reset()
    trip(breaker)
    breaker.reset()
    assert heard == [(State.CLOSED, State.OPEN), (State.OPEN, State.CLOSED)]


@pytest.mark.parametrize(
    ("force", "mode"),
    [
        (CircuitBreaker.force_open, Mode.FORCED_OPEN),
        (CircuitBreaker.force_close, Mode.FORCED_CLOSED),
        (CircuitBreaker.metrics_only, Mode.METRICS_ONLY),
    ],
)
def test_a_forced_mode_and_its_end_are_heard(breaker: CircuitBreaker, heard: Heard, force: object, mode: Mode) -> None:
    force(breaker, "deploy")  # type: ignore[operator]  # one of the three
    breaker.auto()
    assert heard == [(Mode.AUTO, mode), (mode, Mode.AUTO)]


def test_a_mode_that_follows_another_is_heard_once(breaker: CircuitBreaker, heard: Heard) -> None:
    breaker.force_open("deploy")
    breaker.force_open("the deploy takes longer")
    breaker.force_close("done")
    assert heard == [(Mode.AUTO, Mode.FORCED_OPEN), (Mode.FORCED_OPEN, Mode.FORCED_CLOSED)]


def test_ending_no_mode_is_not_heard(breaker: CircuitBreaker, heard: Heard) -> None:
    breaker.auto()
    assert heard == []


def test_a_mode_that_expires_is_heard_at_the_next_call(breaker: CircuitBreaker, heard: Heard, clock: Clock) -> None:
    breaker.force_open("deploy", expires=10.0)
    clock.now += 10.0
    assert breaker.mode == Mode.AUTO
    assert heard == [(Mode.AUTO, Mode.FORCED_OPEN)]  # asking changes nothing
    breaker.call(int)
    assert heard[1:] == [(Mode.FORCED_OPEN, Mode.AUTO)]


def test_a_mode_that_expires_during_a_call_is_heard_at_its_end(breaker: CircuitBreaker, heard: Heard, clock: Clock) -> None:
    breaker.force_close("deploy", expires=10.0)
    with breaker:
        clock.now += 10.0
    assert heard == [(Mode.AUTO, Mode.FORCED_CLOSED), (Mode.FORCED_CLOSED, Mode.AUTO)]


def test_a_mode_that_expired_is_heard_before_the_one_that_follows(breaker: CircuitBreaker, heard: Heard, clock: Clock) -> None:
    breaker.force_open("deploy", expires=10.0)
    clock.now += 10.0
    breaker.metrics_only("looking")
    assert heard[1:] == [(Mode.FORCED_OPEN, Mode.AUTO), (Mode.AUTO, Mode.METRICS_ONLY)]


def test_a_mode_that_is_refused_is_not_heard_and_loses_no_count(breaker: CircuitBreaker, heard: Heard) -> None:
    breaker.call(int)
    with pytest.raises(PolicyError, match="ahead"):
        breaker.force_open("deploy", expires=-1.0)
    breaker.call(int)
    assert (heard, breaker.stats.total, breaker.stats.successful) == ([], 2, 2)


def test_everything_is_heard_outside_the_lock(clock: Clock) -> None:
    """A listener that asks and acts would wait for ever for a lock that is held while it is told."""
    seen: list[tuple[Mode, State, int]] = []

    def look(breaker: CircuitBreaker, before: State | Mode, after: State | Mode) -> None:
        with suppress(CallRejectedError):
            breaker.acquire().ignore()
        seen.append((breaker.mode, breaker.state, breaker.stats.in_flight))

    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), clock=clock, on_change=look)
    breaker.force_close("deploy", expires=5.0)
    clock.now += 5.0
    trip(breaker)
    breaker.reset()
    assert [(mode, state) for mode, state, _ in seen] == [
        (Mode.FORCED_CLOSED, State.CLOSED),
        (Mode.AUTO, State.CLOSED),
        (Mode.AUTO, State.OPEN),
        (Mode.AUTO, State.CLOSED),
    ]
    assert seen[-1][2] == 0


def test_a_callback_that_raises_does_not_spoil_the_call(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("deaf")

    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1), name="orders", clock=clock, on_change=broken)
    with pytest.raises(ValueError):
        breaker.call(fail)
    assert breaker.state == State.OPEN
    assert "on_change of circuit breaker orders failed" in caplog.text
