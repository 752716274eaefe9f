"""A clock that was set back: nothing waits for longer than it would have, and nothing happens twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.decide import Decision
from nodes.engine.enums import AdminState, ChangeKind, EventType, Health, State
from nodes.engine.pool_step import step
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.set_back import follow_clock
from nodes.engine.types import BreakerPolicy, Fleet, HealthPolicy, Member, Pool, PoolPolicy
from tests.engine.pooling import Driver, make_pool
from tests.engine.test_pool_properties import START, Turns, observations, play, pools, turns

FLEET = Fleet()
HOUR = 3600.0


def _instants(node: Member) -> list[float | None]:
    """What happened to a node, and when."""
    found = [node.health.since, node.health.observed_at, node.health.first_bad_at]
    found += [node.breaker.opened_at, node.breaker.stats.last_change, node.ramp.since if node.ramp else None]
    if node.failure is not None:
        found += [node.failure.marked_at, node.failure.moved_at, node.failure.verify_after]
    return found


@given(pools, turns, st.sampled_from([0.5, 60.0, HOUR]))
def test_no_past_lies_ahead_after_a_clock_was_set_back(pool: Pool, script: Turns, by: float) -> None:
    for _, done, _ in play(pool, script):
        pool = done.pool
    now = START + sum(wait for wait, _, _ in script) - by
    after = step(pool, FLEET, now).pool
    pool_instants = (after.last_failover_at, after.cooldown_lifted_at, after.better_tier_since, after.rebalanced_at)
    of_nodes = [each for node in after.members for each in _instants(node)]
    assert all(each is None or each <= now for each in (*pool_instants, *of_nodes))


@given(pools, turns)
def test_a_clock_that_goes_on_is_followed_without_a_change(pool: Pool, script: Turns) -> None:
    for _, done, now in play(pool, script):
        assert follow_clock(done.pool, now) is done.pool


@given(pools, turns, st.sampled_from([60.0, HOUR]))
def test_once_all_are_healthy_nothing_is_left_of_a_clock_that_was_set_back(pool: Pool, script: Turns, by: float) -> None:
    for _, done, _ in play(pool, script):
        pool = done.pool
    pool = replace(pool, members=tuple(replace(node, admin=AdminState.ENABLED) for node in pool.members))
    now = START + sum(wait for wait, _, _ in script) - by
    for _ in range(60):
        now += 10.0
        pool = step(pool, FLEET, now, observations=observations(pool, "ppppp", now)).pool
        for node in [node for node in pool.members if node.breaker.state == State.HALF_OPEN]:
            pool = report(pool, FLEET, now, node.id, Report((Calls(5, 0, now),))).pool
    assert all(node.failure is None and node.ramp is None and node.health.status is Health.HEALTHY for node in pool.members)


def failovers(driver: Driver) -> list[Decision]:
    return [
        each for done in driver.steps for each in done.decisions if each.kind is ChangeKind.FAILOVER and each.refused_by is None
    ]


def test_a_cool_down_lasts_as_long_as_it_should() -> None:
    driver = Driver(make_pool(3, policy=PoolPolicy(cooldown=60.0))).up()
    driver.batch("A=f")
    driver.now -= HOUR
    driver.batch("B=f", wait=1.0)
    assert len(failovers(driver)) == 1  # the cool-down holds
    driver.batch("B=f C=p", wait=58.0)
    assert len(failovers(driver)) == 1
    driver.batch("B=f C=p", wait=3.0)
    assert len(failovers(driver)) == 2


def test_a_slow_start_goes_on() -> None:
    driver = Driver(make_pool(2, policy=PoolPolicy(slow_start=100.0))).up()
    driver.batch("B=f")
    driver.batch("A=p B=p")
    driver.now -= HOUR
    for _ in range(12):
        driver.batch("A=p B=p", wait=10.0)
    assert (driver.node("B").ramp, driver.shares) == (None, [5_000, 5_000])


def test_a_failover_is_verified_and_told_once() -> None:
    driver = Driver(make_pool(3)).up()
    driver.batch("A=f")
    driver.now -= HOUR
    driver.batch("A=f B=p", wait=1.0)
    driver.batch("A=f B=p", wait=1.0)
    assert len(driver.told(EventType.FAILOVER_STARTED)) == len(driver.told(EventType.FAILOVER_COMPLETED)) == 1
    assert not driver.told(EventType.FAILOVER_FAILED)


def test_a_node_that_is_checked_is_not_stale_and_one_that_is_not_becomes_so_in_time() -> None:
    driver = Driver(make_pool(2, health=HealthPolicy(interval=10.0), breaker=BreakerPolicy())).up()
    driver.now -= HOUR
    driver.batch("A=p", wait=1.0)
    assert [node.health.stale for node in driver.pool.members] == [False, False]
    driver.batch("A=p", wait=20.0)
    driver.batch("A=p", wait=10.0)
    assert [node.health.stale for node in driver.pool.members] == [False, True]
