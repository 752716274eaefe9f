"""Every value of every enumeration can be reached; what the ledger alone tells is named here."""

from __future__ import annotations

from functools import cache

from nodes.engine.commands import acknowledge, fail_back, force_breaker, pause, remove, resume, set_admin
from nodes.engine.decision import Decision
from nodes.engine.enums import AdminState, ChangeKind, EventType, Failback, Guard, Health, Mode, Origin, PageOn, Severity, State
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.types import BreakerPolicy, Fleet, HealthPolicy, Hold, PoolPolicy
from tests.engine.pooling import Driver, make_pool

# Facts about configuration and about the console itself: `nodes.operations` and `nodes.ledger.fleet` write these.
TOLD_BY_THE_LEDGER = {
    EventType.NODE_ADDED, EventType.CONFIG_CHANGED, EventType.INCIDENT_CLOSED, EventType.CHECKER_ISOLATED,
    EventType.CHECKER_REJOINED, EventType.CHECKS_LATE, EventType.CHECKS_ON_TIME,
    EventType.RESOLVER_DOWN, EventType.RESOLVER_ANSWERS,
    EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED, EventType.POOL_UNDECIDED, EventType.POOL_DECIDED,
    EventType.CHECKS_MISSING, EventType.CHECKS_RESUMED, EventType.NODE_STALE, EventType.NODE_STALE_ENDED, EventType.EVENT_GIVEN_UP,
    EventType.NOTE_ADDED, EventType.ACCOUNT_CHANGED, EventType.LOGIN_FAILED, EventType.LOGIN_FAILURES,
    EventType.LOGIN_FAILURES_ENDED,
    EventType.DESTINATION_FAILING, EventType.DESTINATION_ANSWERS, EventType.DESTINATION_QUIET, EventType.DESTINATION_QUIET_ENDED,
}  # fmt: skip  # each has a test in tests/integration, tests/admin, or test_belief.py


def life_of_a_pool() -> Driver:
    """A failure by health with everything that can follow it, then silence."""
    driver = Driver(make_pool(4, health=HealthPolicy(failure_threshold=2))).up()
    for text in ("A=w", "A=f B=p", "A=f", "B=f C=f D=f", "A=p", "A=f", "A=p", "A=p", "B=f C=f D=f"):
        driver.batch(text)
    driver.change("A", weight=900)
    driver.batch("A=p B=p C=p D=p", wait=301.0)
    driver.batch("A=p B=p C=p D=p")
    driver.change("B", weight=900)
    driver.batch("A=p B=p C=p D=p", wait=301.0)
    driver.batch("A=p", wait=60.0)
    return driver


def life_of_a_breaker() -> Driver:
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=1, timeout=5.0), health=HealthPolicy())).up()
    for text in ("B=f", "B=p", "B=f", "B=p", "B=p", "B=p"):
        driver.batch(text, wait=5.0)
    return driver


def life_of_reports() -> Driver:
    """Calls and load, reported by those who send the traffic."""
    driver = Driver(make_pool(2, breaker=BreakerPolicy(failure_threshold=2))).up()
    driver.change("B", capacity=100.0)
    for load in (85.0, 90.0, 95.0, 10.0):
        driver.take(report(driver.pool, driver.fleet, driver.now, 2, Report(load=load)))
    driver.take(report(driver.pool, driver.fleet, driver.now, 2, Report((Calls(0, 2, driver.now),))))
    return driver


def life_of_impact() -> Driver:
    """A failure that pages by its impact, and a breaker that waits for calls which never come."""
    policy = PoolPolicy(cooldown=600.0, page_on=PageOn.IMPACT, heal_unreported_after=None)
    driver = Driver(make_pool(3, policy=policy, breaker=BreakerPolicy(failure_threshold=2, timeout=5.0, trial_timeout=1.0))).up()
    driver.batch("A=f")
    driver.batch("B=f")
    driver.batch(wait=30.0)
    driver.batch("A=p B=p")
    driver.take(report(driver.pool, driver.fleet, driver.now, 3, Report((Calls(0, 2, driver.now),))))
    driver.batch(wait=5.0)
    driver.batch(wait=10.0)
    driver.take(report(driver.pool, driver.fleet, driver.now, 3, Report((Calls(2, 0, driver.now),))))
    driver.batch("A=f B=f C=f")
    driver.batch("A=p")
    return driver


def life_by_hand() -> Driver:
    driver = Driver(make_pool(tiers=[1, 2], policy=PoolPolicy(failback=Failback.MANUAL, failback_delay=5.0))).up()
    alice = "alice"
    for mode in (Mode.FORCED_OPEN, Mode.FORCED_CLOSED, Mode.METRICS_ONLY):
        driver.take(force_breaker(driver.pool, driver.fleet, driver.now, 2, mode, "test", alice, driver.now + 3.0))
    driver.batch("A=f B=p", wait=5.0)
    driver.batch("A=p")
    driver.batch("A=p", wait=6.0)
    driver.take(fail_back(driver.pool, driver.fleet, driver.now, 1, alice))
    driver.take(pause(driver.pool, driver.fleet, driver.now, alice, "freeze"))
    driver.take(resume(driver.pool, driver.fleet, driver.now, alice))
    driver.take(acknowledge(driver.pool, driver.fleet, driver.now, alice, "seen"))
    for state in (AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED, AdminState.ENABLED):
        driver.take(set_admin(driver.pool, driver.fleet, driver.now, 1, state, alice))
    driver.batch("A=f")
    driver.take(remove(driver.pool, driver.fleet, driver.now, 1, alice))
    return driver


def held(guard: Guard) -> Driver:
    """Two of three fail one after the other; the second is held by this guard, if it is not the first already."""
    policies = {
        Guard.PANIC: PoolPolicy(panic_threshold=0.5),
        Guard.MAX_FAILED_PERCENT: PoolPolicy(max_failed_percent=34),
        Guard.COOLDOWN: PoolPolicy(cooldown=600.0),
    }
    fleets = {Guard.PAUSED: Fleet(paused=Hold("freeze", "alice")), Guard.CHECKER_ISOLATED: Fleet(isolated=Hold("cut off"))}
    driver = Driver(make_pool(3, policy=policies.get(guard))).up()
    driver.fleet = fleets.get(guard, Fleet())
    for text in ("A=f", "B=f", "C=f"):
        driver.batch(text)
    if guard is Guard.CHECKER_ISOLATED:  # what checks see marks nobody then, what calls say does
        driver.change("A", breaker_policy=BreakerPolicy(failure_threshold=2))
        driver.take(report(driver.pool, driver.fleet, driver.now, 1, Report((Calls(0, 2, driver.now),))))
    return driver


@cache
def lives() -> tuple[Driver, ...]:
    return (
        life_of_a_pool(),
        life_of_a_breaker(),
        life_of_reports(),
        life_of_impact(),
        life_by_hand(),
        *(held(guard) for guard in Guard),
    )


def test_every_event_type_is_told() -> None:
    told = {event.type for driver in lives() for event in driver.events}
    assert told | TOLD_BY_THE_LEDGER == set(EventType)
    assert not told & TOLD_BY_THE_LEDGER


def test_every_severity_is_told() -> None:
    assert {event.severity for driver in lives() for event in driver.events} == set(Severity)


def test_every_kind_of_change_is_decided() -> None:
    assert {decision.kind for driver in lives() for decision in _decisions(driver)} == set(ChangeKind)


def test_every_guard_refuses() -> None:
    for guard in Guard:
        refusals = [decision.refused_by for decision in _decisions(held(guard)) if decision.refused_by]
        assert guard in refusals


def test_every_health_is_seen() -> None:
    assert {node.health.status for driver in lives() for step in driver.steps for node in step.pool.members} == set(Health)


def test_every_state_and_mode_of_a_breaker_is_seen() -> None:
    breakers = [node.breaker for driver in lives() for step in driver.steps for node in step.pool.members]
    assert {breaker.state for breaker in breakers} == set(State)
    assert {breaker.mode for breaker in breakers} == set(Mode)
    assert {breaker.opened_by for breaker in breakers} == {None, *Origin}


def test_every_admin_state_is_seen() -> None:
    assert {node.admin for step in life_by_hand().steps for node in step.pool.members} == set(AdminState)


def _decisions(driver: Driver) -> list[Decision]:
    return [decision for step in driver.steps for decision in step.decisions]
