"""A person's act goes through whatever guards hold; only with nobody to take over it needs an override by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nodes.engine.commands import fail_over, force_breaker, heal_unreported, remove, set_admin
from nodes.engine.enums import AdminState, ChangeKind, EventType, Guard, Mode
from nodes.engine.event_types import TABLE
from nodes.engine.guards import Override
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.step import Refused, Step
from nodes.engine.types import FULL_SHARE, BreakerPolicy, Fleet, Hold, PoolPolicy
from tests.engine.pooling import Driver, make_pool

A, B = 1, 2
NONE: Override = frozenset()
NO_CANDIDATE: Override = frozenset({Guard.NO_CANDIDATE})
HELD = Fleet(paused=Hold("freeze", "bob"), isolated=Hold("cut off"))
EVERY_GUARD = PoolPolicy(panic_threshold=1.0, max_failed_percent=1, cooldown=600.0)

Act = Callable[[Driver, Override], Step]


def _admin(state: AdminState) -> Act:
    return lambda driver, override: set_admin(driver.pool, driver.fleet, driver.now, B, state, "alice", override=override)


def _force_open(driver: Driver, override: Override) -> Step:
    return force_breaker(driver.pool, driver.fleet, driver.now, B, Mode.FORCED_OPEN, "test", "alice", None, override=override)


ACTS: dict[str, Act] = {
    "drain": _admin(AdminState.DRAINING),
    "maintenance": _admin(AdminState.MAINTENANCE),
    "disable": _admin(AdminState.DISABLED),
    "force open": _force_open,
    "fail over now": lambda driver, override: fail_over(driver.pool, driver.fleet, driver.now, B, "alice", override=override),
    "remove": lambda driver, override: remove(driver.pool, driver.fleet, driver.now, B, "alice", override=override),
}
acts = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


def driver_of(nodes: int, *, failing: str = "") -> Driver:
    """A pool in which automation has just moved D's share out; from now on every guard holds, and these nodes fail."""
    driver = Driver(make_pool(nodes)).up()
    driver.batch("D=f")
    driver.pool, driver.fleet = replace(driver.pool, policy=EVERY_GUARD), HELD
    driver.change("B", breaker_policy=BreakerPolicy(failure_threshold=2))
    if failing:
        driver.take(report(driver.pool, driver.fleet, driver.now, B, Report((Calls(0, 2, driver.now),))))
    return driver


@acts
@pytest.mark.parametrize("failing", ["", "B"], ids=["well", "failing"])
def test_a_persons_act_moves_the_share_at_once_whatever_guards_hold(act: Act, failing: str) -> None:
    driver = driver_of(4, failing=failing)
    before = driver.node("B").share
    done = driver.take(act(driver, NONE))
    assert before > 0
    assert [node.share for node in done.pool.members if node.name != "B"] == [5001, 4999, 0]
    decision = done.decisions[0]
    assert (decision.actor, decision.refused_by) == ("alice", None)
    assert {each.guard for each in decision.guards if each.overridden} >= {Guard.PAUSED, Guard.CHECKER_ISOLATED, Guard.PANIC}


@acts
def test_with_nobody_to_take_over_an_act_is_refused_unless_that_is_overridden_and_then_nobody_serves(act: Act) -> None:
    driver = Driver(make_pool(2)).up()
    driver.batch("A=f")
    with pytest.raises(Refused, match="No other node is eligible"):
        act(driver, NONE)
    done = driver.take(act(driver, NO_CANDIDATE))
    assert sum(node.share for node in done.pool.members) == 0
    assert done.decisions[0].kind is ChangeKind.MANUAL


def test_an_open_failure_whose_share_a_person_moved_is_refused_by_nobody_any_more() -> None:
    driver = driver_of(4, failing="B")
    refused = driver.node("B").failure
    driver.take(_force_open(driver, NONE))
    moved = driver.node("B").failure
    assert refused is not None
    assert moved is not None
    assert (refused.refused_by, moved.refused_by, moved.moved_at) == (Guard.PAUSED, None, driver.now)


def test_a_node_that_was_forced_open_under_an_older_version_and_kept_its_share_loses_it_now() -> None:
    driver = driver_of(4, failing="B")
    forced = replace(driver.node("B").breaker, mode=Mode.FORCED_OPEN, mode_owner="alice")
    driver.change("B", breaker=forced)
    done = driver.batch()
    assert (driver.shares, done.decisions[0].kind, done.decisions[0].actor) == ([5001, 0, 4999, 0], ChangeKind.MANUAL, "alice")


def test_the_event_of_a_forced_breaker_tells_of_the_decision() -> None:
    driver = driver_of(4)
    done = driver.take(_force_open(driver, NONE))
    assert [(each.type, each.actor) for each in done.events] == [(EventType.BREAKER_FORCED, "alice")]
    assert TABLE[EventType.BREAKER_FORCED].decisions == {ChangeKind.MANUAL}


@pytest.mark.parametrize("state", [AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED])
@pytest.mark.parametrize("slow_start", [0.0, 100.0])
def test_what_a_person_enables_takes_all_of_an_empty_pool_whatever_guards_hold(state: AdminState, slow_start: float) -> None:
    driver = Driver(make_pool(1, policy=replace(EVERY_GUARD, slow_start=slow_start))).up()
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, A, state, "alice", override=NO_CANDIDATE))
    driver.fleet = HELD
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, A, AdminState.ENABLED, "alice"))
    done = driver.batch("A=p")
    assert driver.shares == [FULL_SHARE]
    assert driver.node("A").enabled_by == ""
    taken = [each for each in (*driver.steps[-2].decisions, *done.decisions) if each.refused_by is None]
    assert [each.actor for each in taken] == ["alice"]


def test_who_enabled_a_node_is_forgotten_when_another_takes_it_out_before_its_first_pass() -> None:
    driver = Driver(make_pool(2)).up()
    for state in (AdminState.DISABLED, AdminState.ENABLED, AdminState.DRAINING):
        driver.take(set_admin(driver.pool, driver.fleet, driver.now, B, state, "alice"))
    assert driver.node("B").enabled_by == ""


def test_only_a_breaker_that_waits_for_calls_can_be_healed_by_checks_by_hand() -> None:
    driver = Driver(make_pool(2)).up()
    with pytest.raises(Refused, match="does not wait for calls alone"):
        heal_unreported(driver.pool, driver.fleet, driver.now, B, "alice")


def test_silence_alone_takes_no_capacity_away_and_no_pool_down() -> None:
    driver = Driver(make_pool(2)).up()
    driver.batch(wait=1000.0)
    assert all(node.health.stale for node in driver.pool.members)
    assert driver.told(EventType.LOW_CAPACITY, EventType.POOL_DOWN) == []


def test_a_share_that_waits_to_be_whole_again_is_held_by_guards_when_its_node_fails_anew() -> None:
    driver = Driver(make_pool(2, policy=PoolPolicy(panic_threshold=0.9))).up()
    driver.fleet = HELD
    driver.change("B", breaker_policy=BreakerPolicy(failure_threshold=2, timeout=1.0, success_threshold=1))
    driver.take(report(driver.pool, driver.fleet, driver.now, B, Report((Calls(0, 2, driver.now),))))
    driver.batch(wait=1.0)
    driver.take(report(driver.pool, driver.fleet, driver.now, B, Report((Calls(1, 0, driver.now),))))
    driver.fleet = Fleet()
    driver.batch("B=f")
    assert driver.shares == [5000, 5000]
