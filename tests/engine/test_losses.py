"""What would become of a pool that lost nodes: the same as what then becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.enums import Guard
from nodes.engine.losses import Loss, if_lost
from nodes.engine.shares import shares
from nodes.engine.types import Fleet, Hold, Load, PoolPolicy
from tests.engine.pooling import Driver, make_pool

NAMES = "ABCDEF"
policies = st.builds(
    PoolPolicy,
    panic_threshold=st.sampled_from([0.0, 0.4, 0.7]),
    max_failed_percent=st.sampled_from([20, 34, 50, 100]),
    cooldown=st.sampled_from([0.0, 30.0]),
)
sets = st.frozensets(st.integers(1, 6))
fleets = st.sampled_from([Fleet(), Fleet(Hold("freeze", "li"))])


def told(driver: Driver, lost: frozenset[int]) -> Loss:
    return if_lost(driver.pool, driver.fleet, driver.now + 1, lost)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), policies, st.booleans(), fleets, sets, sets, st.data())
def test_it_is_what_then_happens(
    weights: list[int],
    policy: PoolPolicy,
    tiered: bool,
    fleet: Fleet,
    first: frozenset[int],
    lost: frozenset[int],
    data: st.DataObject,
) -> None:
    tiers = data.draw(st.lists(st.integers(1, 2), min_size=len(weights), max_size=len(weights))) if tiered else None
    made = make_pool(weights=weights, policy=policy)
    if tiers is not None:
        tiered_pool = make_pool(tiers=tiers, policy=policy)
        made = replace(tiered_pool, members=tuple(replace(n, weight=w) for n, w in zip(tiered_pool.members, weights, strict=True)))
    driver = Driver(made).up()
    there = [node.id for node in driver.pool.members]
    driver.batch(" ".join(f"{NAMES[node - 1]}={'f' if node in first else 'p'}" for node in there))
    driver.fleet = fleet
    answer = told(driver, lost)
    driver.batch(" ".join(f"{NAMES[node - 1]}=f" for node in there if node in lost))
    assert dict(answer.after) == shares(driver.pool)
    assert answer.stranded == sum(node.share for node in driver.pool.members if node.id in lost)


def test_the_share_of_one_goes_to_the_rest() -> None:
    driver = Driver(make_pool(weights=[200, 100, 100])).up()
    answer = told(driver, frozenset({1}))
    assert (answer.to_place, answer.stranded, answer.left) == (5000, 0, 2)
    assert dict(answer.after) == {1: 0, 2: 5000, 3: 5000}
    assert answer.refusal is None
    assert answer.passed == tuple(Guard)


def test_the_guard_that_stops_the_second_is_named() -> None:
    driver = Driver(make_pool(weights=[100] * 4, policy=PoolPolicy(max_failed_percent=34))).up()
    answer = told(driver, frozenset({1, 2}))
    assert answer.refusal is not None
    assert answer.refusal.refused_by is Guard.MAX_FAILED_PERCENT
    assert Guard.MAX_FAILED_PERCENT not in answer.passed
    assert answer.stranded > 0


def test_a_failover_that_is_refused_already_is_told_again() -> None:
    driver = Driver(make_pool(weights=[100, 100], policy=PoolPolicy(panic_threshold=0.9))).up()
    driver.batch("A=f B=p")
    answer = told(driver, frozenset({1}))
    assert [each.refused_by for each in answer.decisions] == [Guard.PANIC]
    assert answer.stranded == 5000


def test_nobody_is_lost_and_nothing_moves() -> None:
    driver = Driver(make_pool(weights=[100, 100])).up()
    answer = told(driver, frozenset({9}))
    assert (answer.lost, answer.to_place, answer.decisions) == (frozenset(), 0, ())
    assert answer.before == answer.after


def test_the_load_goes_with_the_share() -> None:
    driver = Driver(make_pool(weights=[100, 100])).up()
    members = tuple(replace(node, capacity=100.0, load=Load(60.0)) for node in driver.pool.members)
    driver.pool = replace(driver.pool, members=members)
    assert told(driver, frozenset({1})).loads == pytest.approx({2: 1.2})


def test_without_reports_of_load_nothing_is_said_of_it() -> None:
    assert told(Driver(make_pool(weights=[100, 100])).up(), frozenset({1})).loads == {}
