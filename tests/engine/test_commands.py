"""What a person does to a pool."""

from __future__ import annotations

import pytest

from nodes.engine.commands import (
    acknowledge,
    fail_back,
    fail_over,
    force_breaker,
    pause,
    rebalance,
    release_breaker,
    remove,
    reset_breaker,
    resume,
    set_admin,
)
from nodes.engine.enums import AdminState, ChangeKind, EventType, Failback, Guard, Health, Mode, State
from nodes.engine.pool_step import decide
from nodes.engine.shares import failover_pending
from nodes.engine.step import Refused
from nodes.engine.types import BreakerPolicy, Fleet, HealthPolicy, Hold, PoolPolicy
from tests.engine.pooling import Driver, make_pool

A, B, C = 1, 2, 3
NO_CANDIDATE = frozenset({Guard.NO_CANDIDATE})


@pytest.fixture
def three() -> Driver:
    return Driver().up()


def admin(driver: Driver, node: int, state: AdminState, override: frozenset[Guard] = frozenset()) -> None:
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, node, state, "alice", "because", override=override))


@pytest.mark.parametrize("state", [AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED])
def test_taking_a_node_out_moves_its_share_at_once_and_enabling_brings_it_back(three: Driver, state: AdminState) -> None:
    admin(three, B, state)
    assert three.shares == [5001, 0, 4999]
    admin(three, B, AdminState.ENABLED)
    three.batch("B=p")
    assert three.shares == [3334, 3333, 3333]


def test_a_persons_change_is_manual_and_tells_who_and_why(three: Driver) -> None:
    admin(three, B, AdminState.DRAINING)
    decision, event = three.steps[-1].decisions[0], three.steps[-1].events[0]
    assert (decision.kind, decision.actor) == (ChangeKind.MANUAL, "alice")
    assert event.message == "alice set B from enabled to draining: because"


def test_a_person_is_not_held_by_a_pause(three: Driver) -> None:
    three.fleet = Fleet(paused=Hold("freeze", "bob"))
    admin(three, B, AdminState.DRAINING)
    assert three.shares == [5001, 0, 4999]
    admin(three, B, AdminState.ENABLED)
    assert three.shares == [3334, 3333, 3333]


def test_the_last_able_node_leaves_only_by_an_override_and_then_nobody_serves() -> None:
    driver = Driver(make_pool(1)).up()
    with pytest.raises(Refused, match="override “no candidate”"):
        admin(driver, A, AdminState.DRAINING)
    admin(driver, A, AdminState.DRAINING, NO_CANDIDATE)
    assert driver.shares == [0]


def test_after_nobody_served_the_first_able_node_takes_all() -> None:
    driver = Driver(make_pool(2)).up()
    for node in (A, B):
        admin(driver, node, AdminState.DRAINING, NO_CANDIDATE)
    admin(driver, B, AdminState.ENABLED)
    assert driver.shares == [0, 10_000]


def test_the_same_state_twice_is_refused(three: Driver) -> None:
    with pytest.raises(Refused, match="B is enabled already"):
        admin(three, B, AdminState.ENABLED)


def test_a_removed_node_is_refused(three: Driver) -> None:
    with pytest.raises(Refused, match="removed"):
        admin(three, 99, AdminState.DRAINING)


def test_a_disabled_node_forgets_its_health_when_it_is_enabled(three: Driver) -> None:
    admin(three, B, AdminState.DISABLED)
    three.batch("B=f")
    admin(three, B, AdminState.ENABLED)
    assert three.node("B").health.status == Health.UNKNOWN
    assert three.told(EventType.NODE_MARKED_FAILED) == []


def test_maintenance_is_checked_and_mute_and_marks_on_leaving(three: Driver) -> None:
    admin(three, B, AdminState.MAINTENANCE)
    assert three.batch("B=f").events == ()
    assert three.node("B").health.status == Health.FAILED
    admin(three, B, AdminState.ENABLED)
    assert [event.node for event in three.told(EventType.NODE_MARKED_FAILED)] == [B]


def test_entering_maintenance_ends_the_failure(three: Driver) -> None:
    three.batch("B=f")
    admin(three, B, AdminState.MAINTENANCE)
    assert three.node("B").failure is None


def test_a_draining_node_that_fails_and_recovers_ends_its_failure_without_a_share(three: Driver) -> None:
    admin(three, B, AdminState.DRAINING)
    three.batch("B=f")
    assert three.node("B").failure is not None
    three.batch("B=p")
    assert (three.node("B").failure, three.node("B").share) == (None, 0)


def test_removing_a_node_moves_its_share_and_takes_it_out(three: Driver) -> None:
    three.take(remove(three.pool, three.fleet, three.now, B, "alice", "old"))
    assert [node.name for node in three.pool.members] == ["A", "C"]
    assert sum(three.shares) == 10_000
    assert three.told(EventType.NODE_REMOVED)[0].actor == "alice"


def test_forcing_a_breaker_open_moves_the_share_and_releasing_brings_it_back(three: Driver) -> None:
    three.take(force_breaker(three.pool, three.fleet, three.now, B, Mode.FORCED_OPEN, "leak", "alice", None))
    assert three.shares == [5001, 0, 4999]
    assert three.node("B").failure is None
    three.take(release_breaker(three.pool, three.fleet, three.now, B, "alice", "fixed"))
    assert three.shares == [3334, 3333, 3333]


def test_a_forced_breaker_ends_at_its_expiry_and_says_so(three: Driver) -> None:
    three.take(force_breaker(three.pool, three.fleet, three.now, B, Mode.FORCED_OPEN, "leak", "alice", three.now + 5.0))
    assert three.steps[-1].wake_at == three.now + 5.0
    three.batch(wait=5.0)
    assert three.shares == [3334, 3333, 3333]
    assert len(three.told(EventType.BREAKER_FORCED)) == 2


@pytest.mark.parametrize(
    ("mode", "ends", "sentence"),
    [(Mode.AUTO, None, "release"), (Mode.FORCED_OPEN, -1.0, "past"), (Mode.FORCED_CLOSED, 0.0, "past")],
)
def test_a_mode_that_cannot_be_is_refused(three: Driver, mode: Mode, ends: float | None, sentence: str) -> None:
    until = None if ends is None else three.now + ends
    with pytest.raises(Refused, match=sentence):
        force_breaker(three.pool, three.fleet, three.now, B, mode, "", "alice", until)


def test_the_last_able_node_cannot_be_forced_open() -> None:
    driver = Driver(make_pool(1)).up()
    with pytest.raises(Refused, match="No other node"):
        force_breaker(driver.pool, driver.fleet, driver.now, A, Mode.FORCED_OPEN, "", "alice", None)


def test_an_automatic_breaker_cannot_be_released(three: Driver) -> None:
    with pytest.raises(Refused, match="automatic already"):
        release_breaker(three.pool, three.fleet, three.now, B, "alice")


def test_resetting_an_open_breaker_ends_its_failure() -> None:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1))).up()
    driver.batch("B=f")
    driver.batch("B=p")
    assert (driver.node("B").breaker.state, driver.shares) == (State.OPEN, [10_000, 0])
    driver.take(reset_breaker(driver.pool, driver.fleet, driver.now, B, "alice"))
    assert (driver.node("B").failure, driver.shares) == (None, [5000, 5000])


def test_fail_over_now_drains_an_able_node_and_fail_back_enables_it(three: Driver) -> None:
    three.take(fail_over(three.pool, three.fleet, three.now, B, "alice"))
    assert three.node("B").admin == AdminState.DRAINING
    three.take(fail_back(three.pool, three.fleet, three.now, B, "alice"))
    assert three.shares == [3334, 3333, 3333]


def test_fail_over_now_pushes_a_failover_that_a_guard_holds() -> None:
    driver = Driver(make_pool(3, policy=PoolPolicy(panic_threshold=0.5))).up()
    driver.batch("B=f C=f")
    assert [node.name for node in failover_pending(driver.pool)] == ["C"]
    driver.take(fail_over(driver.pool, driver.fleet, driver.now, C, "alice", "it is real"))
    assert driver.shares == [10_000, 0, 0]
    overridden = [answer.guard for answer in driver.steps[-1].decisions[0].guards if answer.overridden]
    assert overridden == [Guard.PANIC]
    assert driver.node("C").admin == AdminState.ENABLED


def test_there_is_nothing_to_fail_over_without_a_share_and_nothing_to_fail_back_without_need(three: Driver) -> None:
    admin(three, B, AdminState.DRAINING)
    with pytest.raises(Refused, match="holds no share"):
        fail_over(three.pool, three.fleet, three.now, B, "alice")
    with pytest.raises(Refused, match="nothing to fail back"):
        fail_back(three.pool, three.fleet, three.now, A, "alice")


def test_fail_back_climbs_to_the_better_tier_before_the_delay() -> None:
    driver = Driver(make_pool(tiers=[1, 2], policy=PoolPolicy(failback=Failback.MANUAL))).up()
    driver.batch("A=f")
    with pytest.raises(Refused, match="No node of tier 1"):
        fail_back(driver.pool, driver.fleet, driver.now, A, "alice")
    driver.batch("A=p")
    driver.batch("A=p B=p", wait=20.0)
    driver.batch("A=p B=p", wait=20.0)
    driver.batch("A=p B=p", wait=20.0)
    driver.batch("A=p B=p", wait=20.0)
    assert len(driver.told(EventType.FAILBACK_DUE)) == 1
    driver.take(fail_back(driver.pool, driver.fleet, driver.now, A, "alice"))
    assert (driver.shares, driver.pool.active_tier) == ([10_000, 0], 1)
    assert driver.steps[-1].decisions[0].kind == ChangeKind.FAILBACK


def test_rebalance_by_hand_follows_new_weights_and_is_refused_when_nothing_is_off(three: Driver) -> None:
    with pytest.raises(Refused, match="at their weights already"):
        rebalance(three.pool, three.fleet, three.now, "alice")
    three.change("A", weight=200)
    three.take(rebalance(three.pool, three.fleet, three.now, "alice"))
    assert three.shares == [5000, 2500, 2500]


def test_rebalance_needs_somebody_able() -> None:
    driver = Driver(make_pool(2))
    with pytest.raises(Refused, match="No node of api is eligible"):
        rebalance(driver.pool, driver.fleet, driver.now, "alice")


def test_automation_rebalances_new_weights_at_its_interval(three: Driver) -> None:
    three.change("A", weight=200)
    three.batch()
    assert three.shares == [3334, 3333, 3333]
    assert three.steps[-1].wake_at is not None
    three.batch("A=p B=p C=p", wait=300.0)
    assert three.shares == [5000, 2500, 2500]


def test_a_pause_holds_failovers_until_it_is_resumed(three: Driver) -> None:
    three.take(pause(three.pool, three.fleet, three.now, "alice", "freeze"))
    three.batch("B=f")
    refusal = decide(three.pool, three.fleet, three.now)
    assert refusal is not None
    assert refusal.refused_by == Guard.PAUSED
    assert refusal.guards[0].reason == "alice paused this pool's automation: freeze"
    three.take(resume(three.pool, three.fleet, three.now, "alice"))
    assert three.shares == [5001, 0, 4999]


def test_a_pause_ends_at_its_expiry(three: Driver) -> None:
    three.take(pause(three.pool, three.fleet, three.now, "alice", "freeze", three.now + 10.0))
    three.batch("B=f")
    assert three.steps[-1].wake_at == three.now + 9.0
    three.batch(wait=9.0)
    assert three.shares == [5001, 0, 4999]
    assert three.told(EventType.AUTOMATION_RESUMED)


def test_pausing_twice_and_resuming_what_runs_are_refused(three: Driver) -> None:
    with pytest.raises(Refused, match="not paused"):
        resume(three.pool, three.fleet, three.now, "alice")
    with pytest.raises(Refused, match="past"):
        pause(three.pool, three.fleet, three.now, "alice", "", three.now)
    three.take(pause(three.pool, three.fleet, three.now, "alice", ""))
    with pytest.raises(Refused, match="paused already"):
        pause(three.pool, three.fleet, three.now, "bob", "")


def test_an_acknowledgement_lifts_the_cool_down() -> None:
    driver = Driver(make_pool(3, policy=PoolPolicy(cooldown=600.0))).up()
    driver.batch("B=f")
    driver.batch("C=f")
    assert driver.shares == [5001, 0, 4999]
    driver.take(acknowledge(driver.pool, driver.fleet, driver.now, "alice", "on it"))
    assert driver.shares == [10_000, 0, 0]


def test_a_silent_node_keeps_its_share_and_receives_nothing(three: Driver) -> None:
    three.batch("A=p C=p", wait=20.0)
    three.batch("A=p C=p", wait=20.0)
    assert [node.health.stale for node in three.pool.members] == [False, True, False]
    assert not three.told(EventType.NODE_STALE)  # the sweep for silence tells it
    three.batch("A=f")
    assert three.shares == [0, 3333, 6667]


def test_a_silent_node_keeps_its_share_when_another_joins() -> None:
    driver = Driver(make_pool(4))
    driver.batch("A=p B=p C=p")
    driver.batch("A=p C=p", wait=20.0)
    driver.batch("A=p C=p", wait=20.0)
    driver.batch("D=p")
    assert driver.node("B").share == 3333
    assert driver.shares == [2223, 3333, 2222, 2222]


def test_a_breaker_that_opens_alone_moves_the_share_and_heals_by_checks() -> None:
    driver = Driver(
        make_pool(2, breaker=BreakerPolicy(failure_threshold=2, timeout=5.0), health=HealthPolicy(failure_threshold=3))
    ).up()
    driver.batch("B=f")
    driver.batch("B=f")
    assert (driver.node("B").health.status, driver.shares) == (Health.HEALTHY, [10_000, 0])
    driver.batch(wait=5.0)
    assert driver.node("B").breaker.state == State.HALF_OPEN
    driver.batch("B=p")
    driver.batch("B=p")
    assert (driver.node("B").breaker.state, driver.shares) == (State.CLOSED, [5000, 5000])
    told = driver.told(EventType.BREAKER_OPENED, EventType.BREAKER_HALF_OPENED, EventType.BREAKER_CLOSED)
    assert [event.type for event in told] == [EventType.BREAKER_OPENED, EventType.BREAKER_HALF_OPENED, EventType.BREAKER_CLOSED]


def test_a_check_that_began_before_half_open_is_no_trial() -> None:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1, success_threshold=1, timeout=1.0))).up()
    driver.batch("B=f")
    driver.batch("B=p", wait=5.0)
    assert driver.node("B").breaker.state == State.HALF_OPEN


def test_a_breaker_waits_while_health_is_failed() -> None:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1, timeout=1.0))).up()
    driver.batch("B=f")
    driver.batch("B=f", wait=20.0)
    assert driver.node("B").breaker.state == State.OPEN
