"""Nodes that fail again soon after they have recovered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.commands import remove, set_admin
from nodes.engine.enums import AdminState
from nodes.engine.pool_step import step
from nodes.engine.types import Failure, Flapping, PoolPolicy
from tests.engine.pooling import Driver, make_pool

WITHIN = 600.0


def fail(driver: Driver, name: str = "B", *, after: float = 1.0) -> None:
    driver.batch(f"{name}=f", wait=after, repeat=True)


def recover(driver: Driver, name: str = "B", *, after: float = 10.0) -> None:
    driver.batch(f"{name}=p", wait=after, repeat=True)


@pytest.fixture
def flapping() -> Driver:
    """B has failed, recovered and failed again."""
    driver = Driver().up()
    fail(driver)
    recover(driver)
    fail(driver, after=59.0)
    return driver


def test_a_first_failure_is_no_flapping() -> None:
    driver = Driver().up()
    fail(driver)
    assert driver.node("B").flapping is None


def test_a_failure_soon_after_the_recovery_is_flapping(flapping: Driver) -> None:
    found = flapping.node("B").flapping
    assert found is not None
    assert (found.failures, found.quiet_since) == (2, None)
    assert found.failed_at - found.since == pytest.approx(69.0, abs=0.1)


@pytest.mark.parametrize(("after", "flaps"), [(WITHIN - 1, True), (WITHIN, False), (WITHIN + 1, False)])
def test_it_is_soon_within_ten_minutes(after: float, flaps: bool) -> None:
    driver = Driver().up()
    fail(driver)
    recover(driver)
    fail(driver, after=after)
    assert (driver.node("B").flapping is not None) is flaps


def test_zero_switches_it_off() -> None:
    driver = Driver(make_pool(policy=PoolPolicy(flapping_within=0.0))).up()
    fail(driver)
    recover(driver)
    fail(driver)
    assert driver.node("B").flapping is None


def test_another_nodes_failure_is_not_its(flapping: Driver) -> None:
    fail(flapping, "C")
    assert [node.flapping is not None for node in flapping.pool.members] == [False, True, False]


def test_further_failures_are_counted(flapping: Driver) -> None:
    recover(flapping)
    fail(flapping, after=WITHIN - 1)
    assert flapping.node("B").flapping is not None
    assert (flapping.node("B").flapping.failures, flapping.node("B").flapping.quiet_since) == (3, None)


def test_it_ends_after_a_quiet_time_at_the_instant_that_it_is_woken_for(flapping: Driver) -> None:
    recover(flapping)
    recovered_at = flapping.now
    assert flapping.steps[-1].wake_at == recovered_at + WITHIN
    flapping.now = recovered_at + WITHIN - 0.001
    flapping.take(step(flapping.pool, flapping.fleet, flapping.now))
    assert flapping.node("B").flapping is not None
    flapping.take(step(flapping.pool, flapping.fleet, recovered_at + WITHIN))
    assert flapping.node("B").flapping is None


def test_a_quiet_time_that_nobody_was_there_to_end_is_over_all_the_same(flapping: Driver) -> None:
    recover(flapping)
    fail(flapping, after=WITHIN)
    assert flapping.node("B").failure is not None
    assert flapping.node("B").flapping is None


def test_maintenance_is_no_recovery() -> None:
    driver = Driver().up()
    fail(driver)
    for state in (AdminState.MAINTENANCE, AdminState.ENABLED):
        driver.take(set_admin(driver.pool, driver.fleet, driver.now, 2, state, "ann"))
    assert driver.node("B").failure is not None
    assert driver.node("B").flapping is None


def test_maintenance_begins_the_quiet_time(flapping: Driver) -> None:
    flapping.take(set_admin(flapping.pool, flapping.fleet, flapping.now, 2, AdminState.MAINTENANCE, "ann"))
    found = flapping.node("B").flapping
    assert found is not None
    assert found.quiet_since == flapping.now


def test_removal_ends_it_at_once(flapping: Driver) -> None:
    flapping.take(remove(flapping.pool, flapping.fleet, flapping.now, 2, "ann"))
    assert all(node.flapping is None for node in flapping.pool.members)


def test_a_clock_that_is_set_back_neither_lengthens_nor_ends_it(flapping: Driver) -> None:
    recover(flapping)
    back = flapping.now - 3_600
    flapping.take(step(flapping.pool, flapping.fleet, back))
    assert flapping.node("B").flapping is not None
    assert flapping.steps[-1].wake_at == back + WITHIN
    flapping.take(step(flapping.pool, flapping.fleet, back + WITHIN))
    assert flapping.node("B").flapping is None


Turns = st.lists(
    st.tuples(st.sampled_from([1.0, 30.0, 300.0, 599.0, 600.0, 900.0]), st.text("pppf", min_size=3, max_size=3)),
    min_size=10,
    max_size=30,
)


@given(Turns, st.booleans())
def test_it_begins_with_a_failure_and_ends_by_a_whole_quiet_time(turns: list[tuple[float, str]], forgets: bool) -> None:
    """Whatever the nodes do, and whoever restarts between two steps; a wake that was missed changes nothing."""
    driver = Driver().up()
    for wait, letters in turns:
        before = driver.pool
        driver.batch(" ".join(f"{name}={letter}" for name, letter in zip("ABC", letters, strict=True)), wait=wait)
        if forgets:
            driver.pool = replace(driver.pool, members=tuple(replace(node) for node in driver.pool.members))
        for old, new in zip(before.members, driver.pool.members, strict=True):
            _hold(old.flapping, new.flapping, old.failure, new.failure, driver.now)
            assert new.flapping is None or (new.flapping.quiet_since is None) == (new.failure is not None)


def _hold(old: Flapping | None, new: Flapping | None, was: Failure | None, failure: Failure | None, now: float) -> None:
    if old is None and new is not None:
        assert was is None
        assert failure is not None
        assert new.failures == 2
    if old is not None and new is None:
        assert old.quiet_since is not None
        assert now - old.quiet_since >= WITHIN
    if old is not None and new is not None and new.failures != old.failures:
        assert old.quiet_since is not None
        assert now - old.quiet_since < WITHIN
