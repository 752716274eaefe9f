"""Two checkers and one engine: who must see a failure before it counts, and an hour in which they disagree.

`Hosts` claims as the ledger does: a node that waits to be confirmed is left to the checker that did not see it fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from nodes.engine import belief
from nodes.engine.belief import Checkers, Evidence
from nodes.engine.enums import EventType, Health, State
from nodes.engine.pool_step import step
from nodes.engine.types import BreakerPolicy, Event, Fleet, HealthPolicy, Hold, Pool
from tests.engine.pooling import NEVER_OPENS, START, Driver, make_pool, seen

PAIR = Fleet(believed=2)
THREE_IN_A_ROW = HealthPolicy(failure_threshold=3, recovery_threshold=1, interval=10.0, fast_interval=2.0)


def check(driver: Driver, node: int, letter: str, checker: str, *, wait: float = 1.0) -> None:
    driver.now += wait
    observation = replace(seen(letter, driver.now), checker=checker)
    driver.take(step(driver.pool, driver.fleet, driver.now, observations={node: observation}))


def pair(health: HealthPolicy = THREE_IN_A_ROW, breaker: BreakerPolicy = NEVER_OPENS) -> Driver:
    driver = Driver(make_pool(3, health=health, breaker=breaker)).up()
    driver.fleet = PAIR
    return driver


# Confirmation ---------------------------------------------------------------------------------------------------------


def test_one_checker_alone_marks_nobody_while_another_is_to_look() -> None:
    driver = pair()
    for _ in range(3):
        check(driver, 2, "f", "a", wait=0.5)
    node = driver.node("B")
    assert (node.health.status, node.health.fails, node.failure) == (Health.HEALTHY, 3, None)
    assert node.health.confirm_until is not None
    check(driver, 2, "f", "b")
    assert driver.shares[1] == 0
    marked = driver.told(EventType.NODE_MARKED_FAILED)[0]
    assert marked.detail["checkers"] == ["a", "b"]
    assert "seen by a and b" in driver.steps[-1].decisions[0].reason


def test_a_failure_that_the_other_contradicts_is_forgotten() -> None:
    driver = pair()
    for _ in range(5):
        check(driver, 2, "f", "a", wait=0.5)
        check(driver, 2, "f", "a", wait=0.5)
        check(driver, 2, "p", "b", wait=0.5)
    assert driver.node("B").health == replace(driver.node("B").health, fails=0, seen_by=(), confirm_until=None)
    assert driver.told(EventType.NODE_MARKED_FAILED) == []


def test_when_nobody_else_looks_in_time_the_same_checker_may_and_the_record_says_so() -> None:
    driver = pair()
    for _ in range(3):
        check(driver, 2, "f", "a", wait=2.0)
    assert driver.node("B").health.status == Health.HEALTHY
    check(driver, 2, "f", "a", wait=2.1)
    assert driver.node("B").health.status == Health.FAILED
    assert "seen by one checker only" in driver.told(EventType.NODE_MARKED_FAILED)[0].message
    assert "seen by one checker only" in driver.steps[-1].decisions[0].reason


def test_threshold_one_asks_for_one_confirming_check() -> None:
    driver = pair(replace(THREE_IN_A_ROW, failure_threshold=1))
    check(driver, 2, "f", "a")
    assert driver.node("B").health.status == Health.HEALTHY
    check(driver, 2, "f", "b")
    assert driver.node("B").health.status == Health.FAILED


@pytest.mark.parametrize(
    "breaker",
    [
        pytest.param(BreakerPolicy(failure_threshold=2), id="by consecutive failures"),
        pytest.param(BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_calls=4, minimum_calls=4), id="by their rate"),
    ],
)
def test_the_failure_that_would_open_the_breaker_is_confirmed_too(breaker: BreakerPolicy) -> None:
    driver = pair(replace(THREE_IN_A_ROW, failure_threshold=50), breaker)
    for _ in range(3):
        check(driver, 2, "p", "a", wait=0.1)
    for _ in range(4):
        check(driver, 2, "f", "a", wait=0.1)
    assert driver.node("B").breaker.state == State.CLOSED
    check(driver, 2, "f", "b", wait=0.1)
    assert driver.node("B").breaker.state == State.OPEN


def test_a_single_checker_waits_for_nobody() -> None:
    driver = Driver(make_pool(3, health=THREE_IN_A_ROW)).up()
    for _ in range(3):
        check(driver, 2, "f", "a")
    assert driver.shares[1] == 0
    assert "seen by" not in driver.told(EventType.NODE_MARKED_FAILED)[0].message


# Nobody is believed ---------------------------------------------------------------------------------------------------


def test_while_nobody_is_believed_failures_count_and_mark_nobody() -> None:
    driver = Driver(make_pool(3, health=THREE_IN_A_ROW, breaker=BreakerPolicy(failure_threshold=2))).up()
    driver.fleet = Fleet(isolated=Hold("a: cut off"), believed=0)
    before = len(driver.events)
    first = driver.now + 1.0
    for _ in range(20):
        check(driver, 2, "f", "a")
    node = driver.node("B")
    assert (node.health.status, node.health.fails, node.breaker.state, node.failure) == (Health.HEALTHY, 20, State.CLOSED, None)
    assert {event.type for event in driver.events[before:]} == {EventType.HEALTH_CHECK_FAILED}
    driver.fleet = Fleet()
    driver.batch(wait=1.0)
    failure = driver.node("B").failure
    assert driver.shares[1] == 0
    assert failure is not None
    assert failure.first_bad_at == pytest.approx(first, abs=0.02)
    assert failure.marked_at == driver.now


def test_a_pass_before_anybody_is_believed_again_marks_nobody() -> None:
    driver = Driver(make_pool(3, health=THREE_IN_A_ROW)).up()
    driver.fleet = Fleet(isolated=Hold("a: cut off"), believed=0)
    for _ in range(20):
        check(driver, 2, "f", "a")
    check(driver, 2, "p", "a")
    driver.fleet = Fleet()
    driver.batch(wait=1.0)
    assert driver.node("B").failure is None


# An hour --------------------------------------------------------------------------------------------------------------


class Hosts:
    """Pools that two hosts check by the engine's own rules; `sees` says what a host gets from a node at an instant."""

    def __init__(self, pools: list[Pool], sees: Callable[[str, int, float], str], *, chance: random.Random) -> None:
        self.pools = {pool.id: pool for pool in pools}
        self.sees, self.chance, self.now = sees, chance, START
        self.due = {node.id: START for pool in pools for node in pool.members}
        self.checkers = Checkers()
        for host in ("a", "b"):
            self.checkers = self.checkers.put(replace(self.checkers.of(host), lives=True))
        self.events: list[Event] = []
        self.window: dict[tuple[str, int], tuple[float, bool]] = {}
        self.healthy: dict[str, set[int]] = {}

    @property
    def fleet(self) -> Fleet:
        return Fleet(isolated=self.checkers.block, believed=len(self.checkers.believed))

    def run(self, seconds: int) -> Hosts:
        for _ in range(seconds):
            self.now += 1.0
            for host in ("a", "b"):
                self._judge(host)
            for pool in self.pools.values():
                self._advance(pool)
        return self

    def _advance(self, pool: Pool) -> None:
        for node in pool.members:
            if self.due[node.id] > self.now:
                continue
            left = node.health.confirm_until is not None and self.now < node.health.confirm_until and self.fleet.believed > 1
            may = [
                host
                for host in ("a", "b")
                if (host in self.checkers.believed or not self.checkers.believed) and not (left and host in node.health.seen_by)
            ]
            if not may:
                continue
            host = self.chance.choice(may)
            self._check(pool.id, node.id, host)

    def _check(self, pool_id: int, node_id: int, host: str) -> None:
        before = next(each for each in self.pools[pool_id].members if each.id == node_id)
        letter = self.sees(host, node_id, self.now)
        if before.health.confirm_until is not None and host not in before.health.seen_by:
            for witness in before.health.seen_by:
                changed = belief.with_answer(self.checkers.of(witness), node_id, confirmed=letter == "f")
                self.checkers = self.checkers.put(changed)
        self.window[host, node_id] = (self.now, letter == "f")
        observation = replace(seen(letter, self.now), checker=host)
        done = step(self.pools[pool_id], self.fleet, self.now, observations={node_id: observation})
        self.pools[pool_id] = done.pool
        self.events += done.events
        after = done.pool.members[[each.id for each in done.pool.members].index(node_id)]
        fast = after.health.fails or after.health.status == Health.RECOVERING
        self.due[node_id] = self.now + (2.0 if fast else 10.0)

    def _judge(self, host: str) -> None:
        members = {node.id: (pool.id, node) for pool in self.pools.values() for node in pool.members}
        lately = {
            node: failed
            for (by, node), (at, failed) in self.window.items()
            if by == host and at > self.now - 4.0 and (members[node][1].health.first_bad_at or at) > at - 4.0
        }
        checker = self.checkers.of(host)
        asked = self._shadow(host) if checker.isolation is not None else []
        evidence = Evidence(
            observed=len(lately),
            failing=sum(lately.values()),
            pools=len({members[node][0] for node, bad in lately.items() if bad}),
            asked=len(asked),
            asked_failing=sum(asked),
            askable=bool(self.healthy.get(host)),
        )
        self.checkers, events = belief.judge(self.checkers, host, evidence, self.now)
        self.events += events
        if checker.isolation is None and (isolation := self.checkers.of(host).isolation) is not None:
            well = {number for number, (_, node) in members.items() if node.health.status == Health.HEALTHY}
            self.healthy[host] = set(checker.contradicted) if isolation.doubt is belief.Doubt.CONTRADICTED else well
            self.window = {key: value for key, value in self.window.items() if key[0] != host}

    def _shadow(self, host: str) -> list[bool]:
        return [self.sees(host, node, self.now) == "f" for node in sorted(self.healthy[host])[:20]]

    def told(self, *types: EventType) -> list[Event]:
        return [event for event in self.events if event.type in types]


def small() -> list[Pool]:
    return [make_pool(3, health=THREE_IN_A_ROW)]


def fleet_of(nodes: int, *, pools: int) -> list[Pool]:
    """Pools with the ids 1, 2, …, whose nodes are numbered through."""
    each, made = nodes // pools, []
    for number in range(pools):
        pool = make_pool(each, health=THREE_IN_A_ROW)
        members = tuple(replace(node, id=number * each + node.id) for node in pool.members)
        made.append(replace(pool, id=number + 1, members=members))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_one_blind_checker_of_three_nodes_in_an_hour_makes_no_failover_and_is_found_out(seed: int) -> None:
    hosts = Hosts(small(), lambda host, node, now: "f" if host == "a" and now > START + 60 else "p", chance=random.Random(seed))
    hosts.run(3600)
    assert hosts.told(EventType.NODE_MARKED_FAILED, EventType.FAILOVER_STARTED, EventType.FAILOVER_REFUSED) == []
    assert [event.detail["checker"] for event in hosts.told(EventType.CHECKER_ISOLATED)] == ["a"]
    assert hosts.told(EventType.CHECKER_REJOINED, EventType.NO_CHECKER_BELIEVED) == []


def test_one_cut_off_and_back_ten_times_tells_two_things_each_time_at_the_most() -> None:
    def sees(host: str, node: int, now: float) -> str:
        return "f" if host == "a" and (now - START) % 150 > 75 else "p"

    hosts = Hosts(fleet_of(12, pools=3), sees, chance=random.Random(7)).run(1560)
    told = [event for event in hosts.events if event.severity.value != "info"]
    assert {event.type for event in told} <= {EventType.CHECKER_ISOLATED}
    assert len(hosts.told(EventType.CHECKER_ISOLATED)) == len(hosts.told(EventType.CHECKER_REJOINED)) == 10
    assert hosts.told(EventType.NODE_MARKED_FAILED) == []


def test_a_real_failure_is_confirmed_and_moves_within_two_fast_intervals_more() -> None:
    hosts = Hosts(small(), lambda host, node, now: "f" if node == 2 and now > START + 60 else "p", chance=random.Random(1))
    hosts.run(60 + 10 + 3 * 2 + 2)
    assert len(hosts.told(EventType.FAILOVER_STARTED)) == 1


@pytest.mark.parametrize(("nodes", "dead"), [(20, 0.55), (60, 0.6), (20, 0.9)])
def test_a_mass_outage_that_both_see_is_held_and_said_until_a_person_believes(nodes: int, dead: float) -> None:
    lost = random.Random(3).sample(range(1, nodes + 1), int(nodes * dead))

    def sees(host: str, node: int, now: float) -> str:
        return "f" if node in lost and now > START + 60 else "p"

    hosts = Hosts(fleet_of(nodes, pools=nodes // 4), sees, chance=random.Random(5)).run(120)
    assert len(hosts.told(EventType.NO_CHECKER_BELIEVED)) == 1
    assert hosts.told(EventType.CHECKER_BELIEVED) == []
    assert hosts.checkers.block is not None
    assert hosts.told(EventType.NODE_MARKED_FAILED, EventType.FAILOVER_REFUSED) == []
    for host in ("a", "b"):
        hosts.checkers, _ = belief.believe(hosts.checkers, host, "olga", hosts.now)
    hosts.run(30)
    assert len(hosts.told(EventType.NODE_MARKED_FAILED)) == len(lost)
    assert hosts.checkers.block is None
