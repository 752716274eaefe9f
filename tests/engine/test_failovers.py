"""The course of a failure: told, moved, verified, recovered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodes.engine.commands import set_admin
from nodes.engine.enums import AdminState, EventType, Guard, Health, PageOn, Severity, State
from nodes.engine.pool_step import decide, step
from nodes.engine.types import BreakerPolicy, Fleet, HealthPolicy, Hold, PoolPolicy
from tests.engine.pooling import Driver, make_pool, seen


@pytest.fixture
def moved() -> Driver:
    """Three nodes; B has failed and its share has moved to A and C."""
    driver = Driver().up()
    driver.batch("B=f")
    return driver


def test_each_failing_check_is_told_up_to_the_threshold() -> None:
    driver = Driver(make_pool(health=HealthPolicy(failure_threshold=3))).up()
    for _ in range(6):
        driver.batch("B=f")
    counts = [event.detail["count"] for event in driver.told(EventType.HEALTH_CHECK_FAILED)]
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(("threshold", "run"), [(1, "a check"), (2, "2 checks in a row")])
def test_a_message_says_what_was_seen(threshold: int, run: str) -> None:
    driver = Driver(make_pool(health=HealthPolicy(failure_threshold=threshold))).up()
    for _ in range(threshold):
        driver.batch("B=f")
    assert driver.told(EventType.NODE_MARKED_FAILED)[0].message == f"B failed {run}: connection refused"
    assert driver.steps[-1].decisions[0].reason == f"B failed {run}"


def test_a_refusal_tells_who_holds_it_and_until_when() -> None:
    driver = Driver().up()
    driver.fleet = Fleet(paused=Hold("change freeze", "alice", until=2e6))
    driver.batch("B=f")
    detail = driver.told(EventType.FAILOVER_REFUSED)[0].detail
    assert (detail["guard"], detail["holder"]) == ("paused", "alice paused all automation: change freeze")
    assert detail["lifts_at"] == driver.steps[-1].wake_at == 2e6


def test_the_decision_considers_every_node_with_its_rule(moved: Driver) -> None:
    considered = moved.steps[-1].decisions[0].considered
    assert [(each.name, each.taken, each.before, each.after) for each in considered] == [
        ("A", True, 3334, 5001),
        ("B", False, 3333, 0),
        ("C", True, 3333, 4999),
    ]


def test_the_guards_are_answered_in_their_order(moved: Driver) -> None:
    assert [answer.guard for answer in moved.steps[-1].decisions[0].guards] == list(Guard)


def test_left_out_nodes_say_why() -> None:
    driver = Driver(make_pool(tiers=[1, 1, 2])).up()
    driver.batch("A=f")
    rules = {each.name: each.rule for each in driver.steps[-1].decisions[0].considered}
    assert rules["C"] == "left out: tier 2 stands by, tier 1 serves"


def test_one_receiver_that_passes_completes_the_failover(moved: Driver) -> None:
    moved.batch("A=f")
    assert moved.told(EventType.FAILOVER_COMPLETED) == []
    moved.batch("C=p")
    assert [event.node for event in moved.told(EventType.FAILOVER_COMPLETED)] == [1, 2]


def test_a_check_begun_before_the_move_proves_nothing(moved: Driver) -> None:
    early = replace(seen("p", moved.now), started_at=moved.now - 0.5, ended_at=moved.now + 0.5)
    moved.take(step(moved.pool, moved.fleet, moved.now + 0.5, observations={1: early}))
    assert moved.told(EventType.FAILOVER_COMPLETED) == []


def test_a_failover_failed_when_all_receivers_failed_theirs() -> None:
    driver = Driver(make_pool(health=HealthPolicy(failure_threshold=2))).up()
    for text in ("B=f", "B=f", "A=f", "C=f"):
        driver.batch(text)
    assert [event.severity for event in driver.told(EventType.FAILOVER_FAILED)] == [Severity.CRITICAL]


def test_a_failover_failed_when_nobody_was_checked_in_time(moved: Driver) -> None:
    assert moved.steps[-1].wake_at == moved.now + 20.0
    moved.batch("A=u C=u", wait=20.0)
    assert len(moved.told(EventType.FAILOVER_FAILED)) == 1


def test_severity_follows_the_share() -> None:
    driver = Driver(make_pool(weights=[100, 0])).up()
    driver.batch("B=f")
    driver.batch("A=f")
    marks = [event.severity for event in driver.told(EventType.NODE_MARKED_FAILED)]
    assert marks == [Severity.WARNING, Severity.CRITICAL]
    assert [event.severity for event in driver.told(EventType.FAILOVER_REFUSED)] == [Severity.CRITICAL]


def test_a_node_that_was_never_eligible_pages_nobody_and_opens_no_failure() -> None:
    """A mistyped address kept an incident open for ever."""
    driver = Driver(make_pool(2))
    driver.batch("A=p B=f")
    assert (driver.node("B").health.status, driver.node("B").failure) == (Health.FAILED, None)
    assert [event.type for event in driver.events if event.node == 2] == [EventType.HEALTH_CHECK_FAILED]
    driver.batch("B=p")
    assert driver.shares == [5_000, 5_000]


def test_a_refusal_is_told_once_however_often_it_is_asked() -> None:
    driver = Driver(make_pool(1)).up()
    for _ in range(5):
        driver.batch("A=f")
    assert len(driver.told(EventType.FAILOVER_REFUSED)) == 1
    assert sum(len(done.decisions) for done in driver.steps[1:]) == 1


def test_a_cool_down_says_when_it_lifts_and_wakes_then() -> None:
    driver = Driver(make_pool(policy=PoolPolicy(cooldown=15.0))).up()
    driver.batch("B=f")
    lifts_at = driver.now + 15.0
    driver.batch("C=f")
    refusal = decide(driver.pool, driver.fleet, driver.now)
    assert refusal is not None
    assert (refusal.refused_by, refusal.lifts_at) == (Guard.COOLDOWN, lifts_at)
    assert driver.steps[-1].wake_at == lifts_at


def test_marked_nodes_go_by_first_bad_check_then_by_id() -> None:
    driver = Driver(make_pool(3, health=HealthPolicy(failure_threshold=2), policy=PoolPolicy(panic_threshold=0.5))).up()
    driver.batch("C=f")
    driver.batch("B=f")
    driver.batch("B=f C=f")
    assert [event.node for event in driver.told(EventType.FAILOVER_STARTED)] == [3]
    assert [event.node for event in driver.told(EventType.FAILOVER_REFUSED)] == [2]


def test_a_failed_attempt_to_recover_is_told_and_the_next_begins_anew() -> None:
    driver = Driver(make_pool(health=HealthPolicy(failure_threshold=1, recovery_threshold=2))).up()
    for text in ("B=f", "B=p", "B=f", "B=p", "B=p"):
        driver.batch(text)
    told = driver.told(EventType.RECOVERY_STARTED, EventType.RECOVERY_FAILED, EventType.RECOVERY_COMPLETED)
    assert [event.type for event in told] == [
        EventType.RECOVERY_STARTED,
        EventType.RECOVERY_FAILED,
        EventType.RECOVERY_STARTED,
        EventType.RECOVERY_COMPLETED,
    ]


def test_a_node_is_marked_once_though_its_breaker_opened_first() -> None:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1), health=HealthPolicy(failure_threshold=3))).up()
    for _ in range(5):
        driver.batch("B=f")
    failure = driver.node("B").failure
    assert failure is not None
    assert failure.cause == "breaker"
    assert len(driver.told(EventType.NODE_MARKED_FAILED)) == 1
    assert len(driver.told(EventType.FAILOVER_STARTED)) == 1


def test_low_capacity_is_told_when_it_begins_and_when_it_ends() -> None:
    driver = Driver(make_pool(3)).up()
    driver.batch("A=f B=f")
    driver.batch("A=p")
    assert [event.severity for event in driver.told(EventType.LOW_CAPACITY, EventType.LOW_CAPACITY_ENDED)] == [
        Severity.CRITICAL,
        Severity.INFO,
    ]


@pytest.mark.parametrize(
    ("policy", "tiers", "texts", "wait"),
    [
        (PoolPolicy(page_on=PageOn.IMPACT, cooldown=600.0), None, ("A=f", "B=f"), 30.0),
        (PoolPolicy(cooldown=300.0, failback_delay=60.0), [1, 2, 2], ("A=f", "A=p"), 299.0),
        (PoolPolicy(cooldown=10.0, failback_delay=60.0), [1, 2, 2], ("A=f", "A=p"), 60.0),
    ],
    ids=["unverified", "failback after the cool-down", "failback after its delay"],
)
def test_the_waking_names_the_instant(policy: PoolPolicy, tiers: list[int] | None, texts: tuple[str, ...], wait: float) -> None:
    driver = Driver(make_pool(3, tiers=tiers, policy=replace(policy, auto_rebalance=False))).up()
    for text in texts:
        driver.batch(text)
    due, at_last = driver.now + wait, driver.now
    while driver.steps[-1].wake_at is not None and driver.steps[-1].wake_at <= due:
        at_last = driver.steps[-1].wake_at
        driver.batch(wait=at_last - driver.now, repeat=True)
    assert at_last == due
    acts = (EventType.FAILOVER_UNVERIFIED, EventType.REBALANCED)
    assert [each.type in acts for each in driver.steps[-1].events] == [True]


def test_a_batch_and_a_restart_between_its_parts_come_to_the_same_end() -> None:
    """Each step takes the pool as it was written; nothing is kept beside it."""
    one, two = Driver().up(), Driver().up()
    for text in ("A=f", "B=f", "A=p", "B=p"):
        one.batch(text, repeat=True)
        two.batch(text, repeat=True)
        two.take(step(two.pool, two.fleet, two.now))
    assert one.pool == two.pool
    assert [event.type for event in one.events] == [event.type for event in two.events]


def test_panic_holds_below_its_threshold_not_at_it() -> None:
    driver = Driver(make_pool(2, policy=PoolPolicy(panic_threshold=0.5))).up()
    driver.batch("B=f")
    assert driver.shares == [10_000, 0]


def test_a_node_on_trial_keeps_no_more_than_a_trial_once_another_is_able() -> None:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1, timeout=5.0))).up()
    for text in ("B=f", "A=f", "A=p B=p"):
        driver.batch(text)
    driver.batch(wait=5.0)
    assert (driver.node("A").breaker.state, driver.shares) == (State.HALF_OPEN, [10_000, 0])
    driver.batch("B=p")
    driver.batch("B=p")
    assert driver.shares == [100, 9900]


def test_a_failing_node_counts_as_moved_out_whoever_moved_it() -> None:
    driver = Driver(make_pool(1)).up()
    driver.batch("A=f")
    every = frozenset(Guard)
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, 1, AdminState.DRAINING, "alice", override=every))
    failure = driver.node("A").failure
    assert failure is not None
    assert (failure.moved_at, driver.shares) == (driver.now, [0])


@pytest.mark.parametrize("start", [1_795_495_030.213438, 1_795_495_030.7, 3.3])
def test_each_step_of_a_slow_start_is_taken_at_the_instant_it_is_woken_for(start: float) -> None:
    """Instants of our time are no round numbers: adding and subtracting them must not lose a step."""
    driver = Driver(make_pool(2, policy=PoolPolicy(slow_start=7.7)))
    driver.now = start
    driver.batch("A=p")
    done = driver.batch("B=p")
    steps = [driver.node("B").share]
    while done.wake_at is not None and driver.node("B").ramp is not None:
        driver.now = done.wake_at
        done = driver.take(step(driver.pool, driver.fleet, driver.now))
        steps.append(driver.node("B").share)
    assert steps == [500 * tenth for tenth in range(1, 11)]
