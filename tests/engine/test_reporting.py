"""Calls and load that others report: counted apart from checks, late ones apart from all."""

from __future__ import annotations

import pytest

from nodes.engine.commands import force_breaker, release_breaker, remove, set_admin
from nodes.engine.enums import AdminState, ChangeKind, EventType, Mode, Origin, Severity, State
from nodes.engine.reporting import Calls, Late, Report, Tallied, report, report_all
from nodes.engine.step import Refused, Step
from nodes.engine.types import Breaker, BreakerPolicy, Event, Lease
from tests.engine.pooling import START, Driver, make_pool

OPENS_AT_THREE = BreakerPolicy(failure_threshold=3, timeout=10.0)


@pytest.fixture
def driver() -> Driver:
    """Two nodes; three failures in a row open a breaker for ten seconds."""
    return Driver(make_pool(2, breaker=OPENS_AT_THREE)).up()


def tell(driver: Driver, *calls: Calls, load: float | None = None, node: int = 2) -> Step:
    return driver.take(report(driver.pool, driver.fleet, driver.now, node, Report(calls, load)))


def calls(driver: Driver, success: int, failure: int, *, ago: float = 0.0, **more: float) -> Calls:
    return Calls(success, failure, driver.now - ago, **more)  # type: ignore[arg-type]  # slow is whole


def loads(driver: Driver, *given: float) -> list[Event]:
    driver.change("B", capacity=100.0)
    for load in given:
        tell(driver, load=load)
    return driver.told(EventType.HIGH_LOAD, EventType.HIGH_LOAD_ENDED)


def test_failing_calls_open_the_breaker_of_a_node_that_passes_its_checks(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 3))
    assert (driver.node("B").breaker.state, driver.node("B").breaker.opened_by) == (State.OPEN, Origin.CALLS)
    assert driver.shares == [10_000, 0]


def test_the_event_says_that_calls_opened_it_and_why(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 3))
    opened = driver.told(EventType.BREAKER_OPENED)[0]
    assert opened.message == "B: calls opened the breaker (3 failures in a row) for 10 s at least"
    assert opened.detail["opened_by"] == "calls"
    assert driver.steps[-1].decisions[0].reason == "B: its breaker was opened by calls: 3 failures in a row"


def test_an_entry_without_an_order_is_spread_evenly(driver: Driver) -> None:
    """Three failures among a hundred calls are no run of three."""
    tell(driver, calls(driver, 97, 3))
    assert driver.node("B").breaker.state == State.CLOSED
    assert (driver.node("B").breaker.stats.failed, driver.node("B").breaker.stats.successful) == (3, 98)


def test_a_mostly_failing_entry_has_its_runs(driver: Driver) -> None:
    tell(driver, calls(driver, 1, 9))
    assert driver.node("B").breaker.state == State.OPEN


def test_what_follows_the_opening_in_the_same_batch_is_late(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 10))
    assert (driver.node("B").breaker.stats.failed, driver.node("B").breaker.stats.late) == (3, 7)


@pytest.mark.parametrize(("ago", "late"), [(60.0, 0), (60.5, 3)])
def test_calls_that_ended_over_a_minute_ago_are_late(driver: Driver, ago: float, late: int) -> None:
    driver.batch(wait=100.0)
    tell(driver, calls(driver, 0, 3, ago=ago))
    assert driver.node("B").breaker.stats.late == late


def test_calls_that_ended_before_the_trial_began_are_late(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 3))
    driver.batch("B=p", wait=10.0)
    assert driver.node("B").breaker.state == State.HALF_OPEN
    tell(driver, calls(driver, 5, 0, ago=1.0))
    assert (driver.node("B").breaker.state, driver.node("B").breaker.stats.late) == (State.HALF_OPEN, 5)


def test_entries_are_taken_in_the_order_of_their_times(driver: Driver) -> None:
    driver.batch("B=p", wait=10.0)
    tell(driver, calls(driver, 0, 2, ago=1.0), calls(driver, 1, 0, ago=2.0), calls(driver, 0, 1, ago=3.0))
    assert driver.node("B").breaker.reported.failures == 2


def test_slow_calls_open_by_their_rate() -> None:
    policy = BreakerPolicy(slow_call_rate=0.5, slow_call_duration=2.0, window_calls=10, minimum_calls=10)
    driver = Driver(make_pool(2, breaker=policy)).up()
    tell(driver, Calls(10, 0, driver.now, slow=4))
    assert driver.node("B").breaker.state == State.CLOSED
    tell(driver, Calls(10, 0, driver.now, duration=2.5))
    assert driver.node("B").breaker.state == State.OPEN
    assert "over 2 s" in driver.node("B").breaker.opened_why


def test_a_trial_share_and_its_healing_are_one_recovery(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 3))
    trial = driver.batch("B=p", wait=10.0).decisions[0]
    healed = tell(driver, calls(driver, 2, 0)).decisions[0]
    assert (trial.kind, trial.continues, trial.after) == (ChangeKind.RECOVERY, None, {1: 9_900, 2: 100})
    assert (healed.kind, healed.continues, healed.after) == (ChangeKind.RECOVERY, trial.epoch, {1: 5_000, 2: 5_000})
    assert driver.told(EventType.RECOVERY_COMPLETED)


def test_a_trial_share_as_large_as_the_nodes_part_ends_with_the_trial() -> None:
    driver = Driver(make_pool(weights=[99, 1], breaker=OPENS_AT_THREE)).up()
    tell(driver, calls(driver, 0, 3))
    driver.batch("B=p", wait=10.0)
    healed = tell(driver, calls(driver, 2, 0))
    assert driver.told(EventType.RECOVERY_COMPLETED)
    assert (driver.shares, driver.node("B").ramp, healed.decisions) == ([9_900, 100], None, ())


def test_a_failed_trial_is_no_new_failover(driver: Driver) -> None:
    tell(driver, calls(driver, 0, 3))
    driver.batch("B=p", wait=10.0)
    back = tell(driver, calls(driver, 0, 1)).decisions[0]
    assert (back.kind, back.after) == (ChangeKind.RECOVERY, {1: 10_000, 2: 0})
    assert len(driver.told(EventType.FAILOVER_STARTED)) == 1


def test_calls_heal_nothing_that_a_person_opened(driver: Driver) -> None:
    driver.take(force_breaker(driver.pool, driver.fleet, driver.now, 2, Mode.FORCED_OPEN, "test", "alice", None))
    tell(driver, calls(driver, 9, 0))
    assert driver.node("B").breaker.mode == Mode.FORCED_OPEN
    driver.take(release_breaker(driver.pool, driver.fleet, driver.now, 2, "alice"))
    assert driver.shares == [5_000, 5_000]


def test_high_load_is_told_at_the_third_report_in_a_row_and_once(driver: Driver) -> None:
    told = loads(driver, 80, 79, 80, 81, 90, 99)
    assert [event.severity for event in told] == [Severity.WARNING]
    assert told[0].message == "B carries 90 of 100: 3 reports in a row at 80% or more"


def test_the_end_of_high_load_is_told_once(driver: Driver) -> None:
    told = loads(driver, 80, 80, 80, 79, 10)
    assert [(event.type, event.severity) for event in told] == [
        (EventType.HIGH_LOAD, Severity.WARNING),
        (EventType.HIGH_LOAD_ENDED, Severity.INFO),
    ]


@pytest.mark.parametrize("way", ["maintenance", "disabled", "removal", "an edit of the capacity", "a capacity taken away"])
def test_every_way_out_ends_a_high_load_once(driver: Driver, way: str) -> None:
    loads(driver, 80, 80, 80)
    if way == "removal":
        driver.take(remove(driver.pool, driver.fleet, driver.now, 2, "alice"))
    elif way in ("maintenance", "disabled"):
        driver.take(set_admin(driver.pool, driver.fleet, driver.now, 2, AdminState(way), "alice"))
    else:
        driver.change("B", capacity=1_000.0 if "edit" in way else None)
    driver.batch("A=p")
    driver.batch("A=p")
    assert [event.node for event in driver.told(EventType.HIGH_LOAD_ENDED)] == [2]


def test_a_high_load_in_maintenance_begins_anew_afterwards(driver: Driver) -> None:
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, 2, AdminState.MAINTENANCE, "alice"))
    assert loads(driver, 80, 80, 80) == []
    driver.take(set_admin(driver.pool, driver.fleet, driver.now, 2, AdminState.ENABLED, "alice"))
    assert [event.type for event in loads(driver, 80, 80, 80)] == [EventType.HIGH_LOAD]


def test_load_without_a_capacity_is_only_kept(driver: Driver) -> None:
    for _ in range(3):
        tell(driver, load=1e9)
    assert driver.node("B").load is not None
    assert not driver.told(EventType.HIGH_LOAD)


def test_a_node_in_maintenance_tells_nothing_of_its_load_or_breaker(driver: Driver) -> None:
    driver.change("B", admin=AdminState.MAINTENANCE)
    assert not loads(driver, 90, 90, 90)
    tell(driver, calls(driver, 0, 3))
    assert not driver.told(EventType.BREAKER_OPENED)


def test_a_node_that_was_removed_is_refused(driver: Driver) -> None:
    with pytest.raises(Refused, match="removed"):
        report(driver.pool, driver.fleet, START, 9, Report())


def test_what_became_of_each_report_of_a_batch_is_told(driver: Driver) -> None:
    reports = [
        (2, Report((calls(driver, 2, 0), calls(driver, 1, 0, ago=61.0)))),
        (2, Report((calls(driver, 0, 4),))),
        (1, Report()),
    ]
    step, tallies = report_all(driver.pool, driver.fleet, driver.now, reports)
    driver.take(step)
    assert tallies == (Tallied(2, {Late.OLD: 1}), Tallied(3, {Late.OPEN: 1}), Tallied())
    assert (driver.node("B").breaker.stats.late, driver.shares) == (2, [10_000, 0])


def test_calls_beyond_the_trials_that_are_let_through_are_rejected(driver: Driver) -> None:
    """Another's trial is in flight, and there is one at a time."""
    half_open = Breaker(State.HALF_OPEN, 2, trials=(Lease(1, driver.now + 60.0, 2),), last_permit=1)
    driver.change("B", breaker=half_open)
    _, tallies = report_all(driver.pool, driver.fleet, driver.now, [(2, Report((calls(driver, 3, 0),)))])
    assert tallies == (Tallied(0, {}, 3),)


def test_a_batch_comes_to_what_its_reports_come_to_one_after_the_other(driver: Driver) -> None:
    told = [
        (1, Report((calls(driver, 5, 1),), 40.0)),
        (2, Report((calls(driver, 1, 1),))),
        (2, Report((calls(driver, 0, 3),), 7.0)),
    ]
    together, _ = report_all(driver.pool, driver.fleet, driver.now, told)
    for node, each in told:
        driver.take(report(driver.pool, driver.fleet, driver.now, node, each))
    assert driver.pool == together.pool
    assert [each.type for step in driver.steps[-3:] for each in step.events] == [each.type for each in together.events]
