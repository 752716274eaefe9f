"""The table of event types: a row for each, and every trouble has exactly one end, whichever way out it takes."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodes.engine.commands import force_breaker, heal_unreported, release_breaker, remove, set_admin
from nodes.engine.enums import AdminState, ChangeKind, EventType, Guard, Mode, PageOn, Severity
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import TABLE, Conclusion, Scope, Trouble, TroubleType, event, rank, worst
from nodes.engine.guards import Override
from nodes.engine.pool_step import step
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.step import Refused, Step
from nodes.engine.troubles import HIGH_REPORTS
from nodes.engine.types import BreakerPolicy, Event, HealthPolicy, Pool, PoolPolicy
from tests.engine.pooling import Driver, make_pool, seen

EVERY: Override = frozenset(Guard)
IN_POOLS = (
    TroubleType.FAILURE, TroubleType.HIGH_LOAD, TroubleType.LOW_CAPACITY, TroubleType.POOL_DOWN, TroubleType.TRIAL_STARVED,
)  # fmt: skip  # one line


def test_every_event_type_has_its_row_and_every_row_a_sentence() -> None:
    assert set(TABLE) == set(EventType)
    assert all(row.sentence.endswith(".") for row in TABLE.values())


def test_every_trouble_begins_and_ends_and_no_event_ends_two() -> None:
    ended = Counter(row.ends for row in TABLE.values() if row.ends)
    assert set(ended) == set(TroubleType)
    begun = {row.begins for row in TABLE.values() if row.begins}
    assert begun == set(TroubleType) - {TroubleType.INCIDENT}  # an incident is opened by its first failure


def test_what_can_page_is_alertable_and_what_ends_a_page_too() -> None:
    for kind, row in TABLE.items():
        assert row.alertable or not row.selectable, kind
        assert row.alertable or row.ends in (None, TroubleType.FAILURE), kind


def test_every_scope_conclusion_and_kind_of_decision_is_in_use() -> None:
    assert {row.scope for row in TABLE.values()} == set(Scope)
    assert {row.concludes for row in TABLE.values()} == {None, *Conclusion}
    assert frozenset().union(*(row.decisions for row in TABLE.values())) == set(ChangeKind)


@pytest.mark.parametrize(
    ("kind", "stakes", "severity"),
    [
        (EventType.NODE_MARKED_FAILED, Stakes(share=1, ever_eligible=True), Severity.CRITICAL),
        (EventType.NODE_MARKED_FAILED, Stakes(share=0, ever_eligible=True), Severity.WARNING),
        (EventType.NODE_MARKED_FAILED, Stakes(share=1, ever_eligible=False), Severity.INFO),
        (EventType.NODE_MARKED_FAILED, Stakes(share=1, ever_eligible=True, begins=False), Severity.INFO),
        (EventType.NODE_MARKED_FAILED, Stakes(share=1, ever_eligible=True, page_on=PageOn.IMPACT), Severity.WARNING),
        (EventType.NODE_MARKED_FAILED, Stakes(share=0, ever_eligible=True, page_on=PageOn.IMPACT), Severity.WARNING),
        (EventType.BREAKER_OPENED, Stakes(share=1, ever_eligible=True), Severity.CRITICAL),
        (EventType.BREAKER_OPENED, Stakes(share=0, ever_eligible=True), Severity.WARNING),
        (EventType.BREAKER_OPENED, Stakes(share=1, ever_eligible=True, begins=False), Severity.INFO),
        (EventType.FAILOVER_REFUSED, Stakes(guard=Guard.PANIC), Severity.CRITICAL),
        (EventType.FAILOVER_REFUSED, Stakes(guard=Guard.NO_CANDIDATE), Severity.CRITICAL),
        (EventType.FAILOVER_REFUSED, Stakes(guard=Guard.COOLDOWN), Severity.CRITICAL),
        (EventType.FAILOVER_REFUSED, Stakes(guard=Guard.MAX_FAILED_PERCENT), Severity.CRITICAL),
        (EventType.FAILOVER_REFUSED, Stakes(guard=Guard.PAUSED), Severity.WARNING),
        (EventType.DESTINATION_FAILING, Stakes(of_critical_rule=True), Severity.CRITICAL),
        (EventType.RESOLVER_DOWN, Stakes(silences=True), Severity.CRITICAL),
        (EventType.RESOLVER_DOWN, None, Severity.WARNING),
        (EventType.DESTINATION_FAILING, None, Severity.WARNING),
        (EventType.CONFIG_CHANGED, None, Severity.INFO),
        (EventType.CHECKER_ISOLATED, None, Severity.WARNING),
        (EventType.REBALANCED, None, Severity.INFO),
    ],
)
def test_the_severity_comes_from_the_row_and_what_is_at_stake(kind: EventType, stakes: Stakes | None, severity: Severity) -> None:
    assert event(kind, "said", stakes=stakes).severity is severity


def test_the_worst_of_severities_is_the_gravest() -> None:
    assert worst(Severity.WARNING, Severity.CRITICAL, Severity.INFO) is Severity.CRITICAL
    assert rank(Severity.INFO) < rank(Severity.WARNING) < rank(Severity.CRITICAL)


def open_troubles(pool: Pool) -> frozenset[Trouble]:
    """The troubles of a pool and its nodes that have begun and not ended."""
    found = {Trouble(TroubleType.FAILURE, node.id) for node in pool.members if node.failure is not None}
    found |= {Trouble(TroubleType.HIGH_LOAD, node.id) for node in pool.members if node.load and node.load.high >= HIGH_REPORTS}
    found |= {Trouble(TroubleType.TRIAL_STARVED, node.id) for node in pool.members if node.trial and node.trial.starved}
    lasting = ((pool.low_capacity, TroubleType.LOW_CAPACITY), (pool.down, TroubleType.POOL_DOWN))
    return frozenset(found | {Trouble(kind, pool.id) for lasts, kind in lasting if lasts})


def ended_by(told: tuple[Event, ...], pool: Pool) -> list[Trouble]:
    """The troubles of a pool and its nodes that these events end."""
    ended: list[Trouble] = []
    for each in told:
        row = TABLE[each.type]
        if row.ends in IN_POOLS and row.ends is not None:
            ended.append(Trouble(row.ends, each.node if row.scope is Scope.NODE else pool.id))
    return ended


def begun_by(told: tuple[Event, ...], pool: Pool) -> list[Trouble]:
    """The troubles of a pool and its nodes that these events begin, or may."""
    rows = [(TABLE[each.type], each.node) for each in told]
    return [Trouble(row.begins, (node or 0) if row.scope is Scope.NODE else pool.id) for row, node in rows if row.begins]


def _order(driver: Driver, chance: Random, number: int) -> Step:
    """What a person does: an administrative state, or a mode of the breaker or its end."""
    pool, fleet, now = driver.pool, driver.fleet, driver.now
    state, mode = chance.choice([*AdminState, AdminState.ENABLED]), chance.choice([*Mode, Mode.AUTO])
    if chance.random() < 0.5:
        return set_admin(pool, fleet, now, number, state, "alice", override=EVERY)
    if mode is Mode.AUTO:
        return release_breaker(pool, fleet, now, number, "alice")
    return force_breaker(pool, fleet, now, number, mode, "test", "alice", now + chance.choice([5.0, 50.0]))


def live(seed: int) -> list[tuple[Pool, Step]]:
    """A pool's life that chance draws: checks, calls, loads, orders, edits and removals; each step with the pool before it."""
    chance = Random(seed)
    made = make_pool(4, health=HealthPolicy(failure_threshold=2), breaker=BreakerPolicy(failure_threshold=3, timeout=10.0))
    driver = Driver(made).up()
    steps: list[tuple[Pool, Step]] = []
    for _ in range(40):
        before = driver.pool
        names = [node.name for node in before.members]
        if not names:
            break
        name = chance.choice(names)
        number = ord(name) - 64
        what = chance.choice(["checks", "checks", "checks", "calls", "load", "load", "order", "edit", "removal", "order"])
        pool, fleet = before, driver.fleet
        with suppress(Refused):
            if what == "checks":
                driver.batch(
                    " ".join(f"{each}={chance.choice('ppfffwu')}" for each in names), wait=chance.choice([1.0, 11.0, 70.0])
                )
            elif what == "calls":
                driver.take(report(pool, fleet, driver.now, number, Report((Calls(0, 3, driver.now),))))
            elif what == "load":
                for _ in range(chance.choice([1, 3])):
                    before = driver.pool
                    load = Report(load=chance.choice([95.0, 95.0, 95.0, 10.0]))
                    steps.append((before, driver.take(report(before, fleet, driver.now, number, load))))
                continue
            elif what == "order":
                driver.take(_order(driver, chance, number))
            elif what == "edit":
                driver.change(name, capacity=chance.choice([100.0, 100.0, 1_000.0, None]), weight=chance.choice([100, 0]))
                before = driver.pool
                driver.batch(wait=0.0)
            elif chance.random() < 0.2:
                driver.take(remove(pool, fleet, driver.now, number, "alice", override=EVERY))
            else:
                continue
            steps.append((before, driver.steps[-1]))
    return steps


def live_on_trial(seed: int) -> list[tuple[Pool, Step]]:
    """A pool whose breakers calls open, and that hears of few calls afterwards; each step with the pool before it."""
    chance, steps = Random(seed), list[tuple[Pool, Step]]()
    breaker = BreakerPolicy(failure_threshold=2, success_threshold=2, timeout=10.0, trial_timeout=20.0)
    driver = Driver(make_pool(3, breaker=breaker, policy=PoolPolicy(heal_unreported_after=chance.choice([None, 900.0])))).up()
    for _ in range(30):
        before = driver.pool
        number = chance.choice([node.id for node in before.members])
        with suppress(Refused):
            done = _one_trial_turn(driver, chance, number, breaker)
            steps.append((driver.pool if done is None else before, driver.batch(wait=0.0) if done is None else driver.take(done)))
    return steps


def _one_trial_turn(driver: Driver, chance: Random, number: int, breaker: BreakerPolicy) -> Step | None:
    """What chance does next to this node; None after an edit."""
    pool, fleet, now = driver.pool, driver.fleet, driver.now
    match chance.choice(["wait", "wait", "wait", "checks", "bad", "bad", "good", "order", "heal", "edit", "removal"]):
        case "wait":
            driver.now += chance.choice([11.0, 201.0, 901.0])
            return step(pool, fleet, driver.now)
        case "checks":
            return step(pool, fleet, now, observations={node.id: seen(chance.choice("ppppf"), now) for node in pool.members})
        case "bad":
            return report(pool, fleet, now, number, Report((Calls(0, 2, now),)))
        case "good":
            return report(pool, fleet, now, number, Report((Calls(1, 0, now),)))
        case "order":
            return _order(driver, chance, number)
        case "heal":
            return heal_unreported(pool, fleet, now, number, "alice")
        case "removal" if len(pool.members) > 1 and chance.random() < 0.2:
            return remove(pool, fleet, now, number, "alice", override=EVERY)
    driver.change(driver.pool.members[0].name, breaker_policy=replace(breaker, trial_timeout=chance.choice([20.0, 60.0])))
    return None


lives = st.one_of(st.integers(0, 2**32).map(live), st.integers(0, 2**32).map(live_on_trial))


@given(lives)
@example(live(34329))  # three reports of a high load of a disabled node
def test_a_trouble_ends_by_exactly_one_event_and_no_event_ends_what_goes_on(life: list[tuple[Pool, Step]]) -> None:
    for before, done in life:
        over = open_troubles(before) - open_troubles(done.pool)
        assert Counter(ended_by(done.events, before)) == Counter(over)


@given(lives)
@example(live(3))  # the same
def test_a_trouble_is_told_to_begin_at_most_once_while_it_lasts(life: list[tuple[Pool, Step]]) -> None:
    for before, done in life:
        begun = Counter(begun_by(done.events, before))
        new = open_troubles(done.pool) - open_troubles(before)
        assert all(begun[each] for each in new)
        once = {each: times for each, times in begun.items() if each.type is not TroubleType.FAILURE}
        assert once == {each: 1 for each in new if each.type is not TroubleType.FAILURE}  # a failing node's breaker opens too


def test_chance_reaches_every_trouble_and_every_way_out() -> None:
    """The property above looks at something: each trouble begins and ends in some of these lives, failures in both ways."""
    missing = {kind for kind, row in TABLE.items() if row.ends in IN_POOLS or row.begins in IN_POOLS}
    for seed in range(60):
        missing -= {each.type for _, done in live(seed) + live_on_trial(seed) for each in done.events}
        if not missing:
            break
    assert missing == set()
