"""What holds for a breaker whatever happens to it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nodes.engine import breaker as rules
from nodes.engine.breaker import Permit
from nodes.engine.enums import Mode, Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy
from tests.engine.driving import Driver

policies = st.builds(
    BreakerPolicy,
    failure_threshold=st.integers(1, 4),
    success_threshold=st.integers(1, 4),
    timeout=st.integers(0, 40).map(float),
    max_requests=st.integers(1, 3),
    timeout_multiplier=st.sampled_from([1.0, 1.5, 2.0]),
    trial_timeout=st.integers(1, 30).map(float),
)
# What may happen: ask, report one of the permits held (by index), let time pass, put a mode in force.
acts = st.lists(
    st.one_of(
        st.just(("ask", 0)),
        st.tuples(st.sampled_from(list(Outcome)), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 7.0, 45.0])),
        st.tuples(st.just("mode"), st.integers(0, 3)),
    ),
    max_size=60,
)
MODES = list(Mode)


def play(driver: Driver, act: tuple[object, float], held: list[Permit]) -> None:
    match act:
        case (Outcome() as outcome, index):
            if held:
                driver.report(held.pop(int(index) % len(held)), outcome)
        case ("ask", _):
            answer = driver.ask()
            if isinstance(answer, Permit):
                held.append(answer)
        case ("wait", seconds):
            driver.wait(float(seconds))
        case ("mode", index):
            driver.breaker = rules.force(driver.breaker, MODES[int(index)], "", "alice", None, driver.now)


def in_flight(breaker: Breaker) -> int:
    return sum(lease.generation == breaker.generation for lease in breaker.trials)


@given(policies, acts)
def test_statistics_add_up_and_trials_never_exceed_their_limit(policy: BreakerPolicy, script: list[tuple[object, float]]) -> None:
    driver, held = Driver(policy), list[Permit]()
    lapsed = 0
    for act in script:
        before = driver.breaker
        play(driver, act, held)
        lapsed = driver.breaker.stats.late_lapsed + sum(
            bool(permit.trial) and permit.trial not in {lease.permit for lease in driver.breaker.trials} for permit in held
        )
        assert driver.breaker.stats.in_flight == len(held) - (lapsed - driver.breaker.stats.late_lapsed)
        assert in_flight(driver.breaker) <= policy.max_requests
        assert driver.breaker.generation >= before.generation


@given(policies, acts)
def test_after_wait_and_lease_a_trial_is_offered_from_anywhere(policy: BreakerPolicy, script: list[tuple[object, float]]) -> None:
    driver, held = Driver(policy), list[Permit]()
    for act in script:
        play(driver, act, held)
    driver.breaker = rules.force(driver.breaker, Mode.AUTO, "", "", None, driver.now)
    driver.wait(policy.trial_timeout)
    driver.wait(driver.breaker.wait)
    assert isinstance(driver.ask(), Permit)


@given(policies, acts)
def test_a_result_of_an_older_state_changes_only_the_count_of_late_ones(
    policy: BreakerPolicy, script: list[tuple[object, float]]
) -> None:
    driver, held = Driver(policy), list[Permit]()
    for act in script:
        play(driver, act, held)
    before = driver.breaker
    old = Permit(before.generation - 1)
    driver.report(old, Outcome.FAILURE)
    settled, _ = rules.tick(before, policy, driver.now, held=True)
    assert driver.breaker == replace(settled, stats=replace(settled.stats, late=settled.stats.late + 1))


@given(policies, acts, st.lists(st.sampled_from([0.25, 1.0, 7.0, 45.0]), min_size=1, max_size=8))
def test_looking_often_or_once_comes_to_the_same_state(
    policy: BreakerPolicy, script: list[tuple[object, float]], pauses: list[float]
) -> None:
    driver, held = Driver(policy), list[Permit]()
    for act in script:
        play(driver, act, held)
    start = driver.breaker
    for pause in pauses:
        driver.wait(pause)
    at_once, _ = rules.tick(start, policy, driver.now)
    assert _undated(at_once) == _undated(driver.breaker)


def _undated(breaker: Breaker) -> Breaker:
    """Without the instant of the last look that found the wait over."""
    return replace(breaker, stats=replace(breaker.stats, last_change=None)) if breaker.state == State.HALF_OPEN else breaker


@given(policies, acts)
def test_a_forced_breaker_keeps_its_computed_state(policy: BreakerPolicy, script: list[tuple[object, float]]) -> None:
    driver, held = Driver(policy), list[Permit]()
    driver.half_open()
    driver.breaker = rules.force(driver.breaker, Mode.FORCED_CLOSED, "", "alice", None, driver.now)
    generation = driver.breaker.generation
    for act in script:
        if act[0] != "mode":
            play(driver, act, held)
    assert (driver.breaker.state, driver.breaker.generation) == (State.HALF_OPEN, generation)
