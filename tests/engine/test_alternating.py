"""Results that come and go: a node that fails too many of its last twenty is degraded until it fails few of them."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.enums import EventType, Health, Verdict
from nodes.engine.health import RESULTS, after_result, failed_of_last, observe
from nodes.engine.types import Fleet, HealthPolicy, HealthState, Hold, Observation
from tests.engine.pooling import Driver, make_pool

POLICY = HealthPolicy(failure_threshold=5, recovery_threshold=1)


def health_after(letters: str, health: HealthState | None = None) -> HealthState:
    health = health or HealthState()
    for letter in letters:
        verdict = next(each for each in Verdict if each.value.startswith(letter))
        health = observe(health, POLICY, Observation(verdict, "refused"), 1.0)
    return health


def driver_after(letters: str) -> Driver:
    driver = Driver(make_pool(2, health=POLICY))
    for letter in letters:
        driver.batch(f"A={letter} B=p")
    return driver


@given(st.lists(st.booleans(), max_size=60))
def test_the_results_say_how_many_of_the_last_twenty_failed_once_there_are_so_many(seen: list[bool]) -> None:
    results, last = 1, deque[bool](maxlen=RESULTS)
    for failed in seen:
        results = after_result(results, failed=failed)
        last.append(failed)
        assert failed_of_last(results) == (sum(last) if len(last) == RESULTS else None)


@pytest.mark.parametrize(("letters", "degraded"), [("ppf" * 6 + "ff", True), ("ppf" * 6 + "fp", False), ("pf" * 9 + "f", False)])
def test_eight_of_twenty_results_degrade_and_neither_seven_nor_a_shorter_time_does(letters: str, degraded: bool) -> None:
    assert health_after(letters).alternating is degraded
    assert (health_after(letters).status is Health.DEGRADED) is degraded


def test_what_cannot_be_asked_is_no_result() -> None:
    assert health_after("upu" * 30) == health_after("p" * 30)


def test_it_lasts_until_under_a_fifth_failed_and_a_pass_does_not_end_it() -> None:
    health = health_after("pf" * 10)
    for good in range(1, 21):
        health = health_after("p", health)
        failed = failed_of_last(health.results)
        assert failed is not None
        assert (health.status is Health.DEGRADED) is (failed >= 4), good
    assert health.status is Health.HEALTHY


def test_it_is_told_once_and_again_when_it_comes_back() -> None:
    driver = driver_after("pf" * 20)
    assert [each.message for each in driver.told(EventType.NODE_DEGRADED)] == ["A is degraded: 10 of its last 20 results failed"]
    for letter in "p" * 20 + "pf" * 10:
        driver.batch(f"A={letter} B=p")
    assert len(driver.told(EventType.NODE_DEGRADED)) == 2


def test_an_alternating_node_keeps_its_share() -> None:
    assert driver_after("pf" * 20).shares == [5000, 5000]


def test_a_node_that_left_recovering_begins_anew() -> None:
    failed = health_after("pf" * 10 + "fffff")
    assert (failed.status, failed.alternating) == (Health.FAILED, False)
    back = health_after("p", failed)
    assert (back.status, back.results) == (Health.HEALTHY, 1)


def test_failures_alone_never_bring_a_node_into_service() -> None:
    unsure = HealthPolicy(failure_threshold=100)
    health = HealthState()
    for _ in range(40):
        health = observe(health, unsure, Observation(Verdict.FAIL), 1.0)
    assert health.status is Health.UNKNOWN


def test_a_fail_that_marks_nobody_takes_it_back_from_nobody() -> None:
    driver = driver_after("pf" * 10)
    driver.fleet = Fleet(isolated=Hold("cut off"))
    for _ in range(6):
        driver.batch("A=f")
    assert driver.node("A").health.alternating
    assert len(driver.told(EventType.NODE_DEGRADED)) == 1


def test_what_was_seen_while_no_checker_was_believed_is_told_with_its_reason() -> None:
    driver = driver_after("p")
    driver.fleet = Fleet(isolated=Hold("cut off"))
    for _ in range(5):
        driver.batch("A=f")
    driver.fleet = Fleet()
    driver.batch()
    marked = driver.told(EventType.NODE_MARKED_FAILED)[0]
    assert marked.message == ("A failed 5 checks in a row: connection refused, seen while no checker was believed")
