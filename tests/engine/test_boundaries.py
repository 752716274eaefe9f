"""Every limit holds from where it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodes.engine import breaker, health
from nodes.engine.commands import acknowledge
from nodes.engine.enums import EventType, Guard, State
from nodes.engine.guards import low_capacity
from nodes.engine.pool_step import decide, step
from nodes.engine.shares import off_ideal
from nodes.engine.types import BreakerPolicy, HealthPolicy, PoolPolicy
from tests.engine.pooling import Driver, make_pool, seen


def with_shares(weights: list[int], held: list[int]) -> Driver:
    driver = Driver(make_pool(weights=weights)).up()
    members = tuple(replace(node, share=share) for node, share in zip(driver.pool.members, held, strict=True))
    driver.pool = replace(driver.pool, members=members)
    return driver


@pytest.mark.parametrize(
    ("weights", "held", "off"),
    [
        ([1, 1], [5100, 4900], False),
        ([1, 1], [5101, 4899], True),
        ([5, 95], [550, 9450], False),
        ([5, 95], [551, 9449], True),
        ([5, 95], [450, 9550], False),
        ([1, 1999], [4, 9996], False),
        ([1, 1999], [3, 9997], True),
        ([1, 9999], [0, 10_000], True),
    ],
)
def test_shares_are_off_beyond_one_percent_of_all_or_a_tenth_of_the_ideal(weights: list[int], held: list[int], off: bool) -> None:
    assert off_ideal(with_shares(weights, held).pool) is off


@pytest.mark.parametrize(("weights", "low"), [([100, 100], None), ([100, 101], (100, 201)), ([101, 100], None)])
def test_capacity_is_low_below_half_of_the_weight(weights: list[int], low: tuple[int, int] | None) -> None:
    driver = Driver(make_pool(weights=weights)).up()
    driver.batch("B=f")
    assert low_capacity(driver.pool) == low
    assert bool(driver.told(EventType.LOW_CAPACITY)) is (low is not None)


def test_an_acknowledgement_at_the_instant_of_the_failover_lifts_its_cool_down() -> None:
    driver = Driver(make_pool(policy=PoolPolicy(cooldown=60.0))).up()
    driver.batch("A=f")
    driver.take(acknowledge(driver.pool, driver.fleet, driver.now, "alice", ""))
    driver.batch("B=f")
    assert driver.shares == [0, 0, 10_000]


def test_a_cool_down_is_over_at_its_end() -> None:
    driver = Driver(make_pool(policy=PoolPolicy(cooldown=60.0))).up()
    driver.batch("A=f")
    driver.batch("B=f")
    held = decide(driver.pool, driver.fleet, driver.now + 58.75)
    free = decide(driver.pool, driver.fleet, driver.now + 59.0)
    assert (held and held.refused_by, free and free.refused_by) == (Guard.COOLDOWN, None)


@pytest.mark.parametrize(("started", "state"), [(0.0, State.CLOSED), (-0.25, State.HALF_OPEN)])
def test_a_check_is_a_trial_when_it_began_after_the_breaker_half_opened(started: float, state: State) -> None:
    policy = BreakerPolicy(failure_threshold=1, success_threshold=1, timeout=10.0)
    driver = Driver(make_pool(2, breaker=policy, health=HealthPolicy())).up()
    driver.batch("B=f")
    driver.batch("", wait=10.0)
    check = replace(seen("p", driver.now), started_at=driver.now + started)
    after = step(driver.pool, driver.fleet, driver.now + 1, observations={2: check}).pool.members[1]
    assert after.breaker.state == state


def test_a_receiver_is_verified_by_a_check_begun_at_the_instant_of_the_move() -> None:
    driver = Driver().up()
    driver.batch("B=f")
    check = replace(seen("p", driver.now), started_at=driver.now)
    done = step(driver.pool, driver.fleet, driver.now + 0.5, observations={1: check})
    assert [event.type for event in done.events] == [EventType.FAILOVER_COMPLETED]


def test_a_decision_says_of_each_node_what_becomes_of_its_share() -> None:
    driver = Driver(make_pool(weights=[100, 100, 0])).up()
    moved = driver.batch("A=f").decisions[0]
    back = driver.batch("A=p").decisions[0]
    assert [each.rule for each in moved.considered] == ["gives its share", "eligible, receives", "left out: its weight is 0"]
    assert [each.rule for each in back.considered] == ["eligible, receives", "eligible, gives", "left out: its weight is 0"]


def test_a_decision_says_who_stays_as_it_is() -> None:
    driver = Driver(make_pool(weights=[1, 9999, 5000])).up()
    driver.pool = replace(
        driver.pool, members=tuple(replace(n, share=s) for n, s in zip(driver.pool.members, (1, 9998, 1), strict=True))
    )
    moved = driver.batch("C=f").decisions[0]
    assert [each.rule for each in moved.considered] == ["eligible, stays as it is", "eligible, receives", "gives its share"]


def test_a_refused_node_keeps_its_share_in_words() -> None:
    driver = Driver(make_pool(1)).up()
    refused = driver.batch("A=f").decisions[0]
    assert refused.considered[0].rule == "keeps its share"


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (HealthPolicy(interval=0.0, check_timeout=-1.0), "above 0"),
        (HealthPolicy(fast_interval=10.5), "must not be longer"),
        (HealthPolicy(recovery_threshold=0), "at least 1"),
        (HealthPolicy(check_timeout=10.0), "below the interval"),
    ],
)
def test_a_health_policy_beyond_its_limits_is_refused(policy: HealthPolicy, sentence: str) -> None:
    with pytest.raises(health.PolicyError, match=sentence):
        health.validate(policy)


@pytest.mark.parametrize(
    "policy", [HealthPolicy(fast_interval=10.0), HealthPolicy(recovery_threshold=1), HealthPolicy(failure_threshold=1)]
)
def test_a_health_policy_at_its_limits_is_taken(policy: HealthPolicy) -> None:
    health.validate(policy)


@pytest.mark.parametrize(
    ("policy", "doubts"),
    [
        (HealthPolicy(down_interval=100.0), 0),
        (HealthPolicy(down_interval=100.5), 1),
        (HealthPolicy(check_timeout=4.0), 0),
        (HealthPolicy(check_timeout=4.5), 1),
        (HealthPolicy(degraded_latency=4.5), 0),
        (HealthPolicy(degraded_latency=5.0), 1),
    ],
)
def test_a_health_policy_is_doubted_from_its_limit_on(policy: HealthPolicy, doubts: int) -> None:
    assert len(health.warnings(policy)) == doubts


@pytest.mark.parametrize(
    ("policy", "doubts"),
    [
        (BreakerPolicy(max_requests=20), 0),
        (BreakerPolicy(max_requests=21), 1),
        (BreakerPolicy(failure_rate=0.5, window_calls=5, minimum_calls=5), 0),
        (BreakerPolicy(failure_rate=0.5, window_calls=4, minimum_calls=4), 1),
        (BreakerPolicy(success_threshold=1), 0),
        (BreakerPolicy(failure_rate=0.5, window_calls=1, minimum_calls=1), 1),
    ],
)
def test_a_breaker_policy_is_taken_at_its_limits_and_doubted_beyond(policy: BreakerPolicy, doubts: int) -> None:
    breaker.validate(policy)
    assert len(breaker.warnings(policy)) == doubts


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (BreakerPolicy(failure_rate=0.5, window_calls=0, minimum_calls=0), "at least 1 call"),
        (BreakerPolicy(failure_rate=0.5, window_seconds=0.0), "longer than 0"),
        (BreakerPolicy(failure_rate=0.5, window_calls=5, minimum_calls=0), "at least 1 call"),
        (BreakerPolicy(failure_rate=0.0, window_calls=20), "above 0"),
        (BreakerPolicy(trial_timeout=0.0), "above 0"),
        (BreakerPolicy(window_calls=20), "needs a rate"),
    ],
)
def test_a_breaker_policy_beyond_its_limits_is_refused(policy: BreakerPolicy, sentence: str) -> None:
    with pytest.raises(breaker.PolicyError, match=sentence):
        breaker.validate(policy)
