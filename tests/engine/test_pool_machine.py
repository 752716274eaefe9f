"""A pool under two checkers that disagree, hang and report late, while the clock of the database is set forth and back.

`PoolWatched` claims as the ledger does: each claim raises the node's term number, a result with an older one is dropped, and a node
that waits to be confirmed is left to the checker that did not see it fail.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodes.engine.commands import set_admin
from nodes.engine.enums import AdminState, EventType, Guard, Health, Origin, State
from nodes.engine.event_types import TABLE, TroubleType
from nodes.engine.health import fast_interval
from nodes.engine.pool_step import step
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.shares import eligible
from nodes.engine.step import Refused, Step
from nodes.engine.types import FULL_SHARE, BreakerPolicy, Fleet, HealthPolicy, Hold, Member, Observation, Pool, PoolPolicy
from tests.engine.pooling import START, make_pool, seen

FLEETS = (Fleet(believed=2), Fleet(believed=2), Fleet(), Fleet(isolated=Hold("a: cut off"), believed=0))
HOUR = 3600.0
nodes = st.sampled_from([1, 1, 2, 3])
steps = st.sampled_from([-HOUR, -2.0, HOUR])  # of the clock
SPARE = 1e-3  # s
LONGEST_CONFIRMATION = 2.0  # fast intervals, after the fail before the decisive one


@dataclass(frozen=True)
class Asked:
    """A check that its owner has claimed and not reported, because it hangs."""

    node: int
    term_number: int
    observation: Observation


@dataclass
class Left:
    """A node left to another checker: for how long it should be, how long it has been, and whether the clock jumped on."""

    seconds: float
    passed: float = 0.0
    set_forth: bool = False


class PoolWatched(RuleBasedStateMachine):
    @initialize(
        threshold=st.integers(1, 3),
        breaker=st.sampled_from([2, 4, 1_000_000]),
        policy=st.sampled_from([PoolPolicy(), PoolPolicy(cooldown=60.0, slow_start=30.0), PoolPolicy(panic_threshold=0.5)]),
        tiers=st.sampled_from([None, [1, 1, 2]]),
    )
    def begin(self, threshold: int, breaker: int, policy: PoolPolicy, tiers: list[int] | None) -> None:
        health = HealthPolicy(failure_threshold=threshold, interval=10.0, fast_interval=2.0)
        self.pool = make_pool(3, tiers=tiers, policy=policy, health=health, breaker=BreakerPolicy(breaker, timeout=10.0))
        self.now, self.fleet = START, Fleet(believed=2)
        self.term_numbers = Counter[int]()
        self.hanging: list[Asked] = []
        self.left: dict[int, Left] = {}
        self.open: Counter[tuple[TroubleType, int | None]] = Counter()
        self.take(step(self.pool, self.fleet, self.now, observations={n: seen("p", self.now) for n in (1, 2, 3)}))

    # Moves

    @rule(
        node=nodes, letters=st.text("ffffpwu", min_size=1, max_size=4), checkers=st.sampled_from(["aaaa", "abab", "aabb", "baaa"])
    )
    def check(self, node: int, letters: str, checkers: str) -> None:
        """Some checks of one node by one checker or the other, each after a fast interval."""
        for letter, checker in zip(letters, checkers, strict=False):
            self.wait(2.0)
            self._check(node, letter, checker)

    @rule(node=nodes, letters=st.text("fffp", min_size=1, max_size=2), seconds=steps, looked_at=st.booleans())
    def check_before_and_after_a_step(self, node: int, letters: str, seconds: float, looked_at: bool) -> None:
        self.check(node, letters, "aa")
        self.set_clock(seconds, looked_at)
        self.check(node, "f", "a")

    @rule(node=nodes, letter=st.sampled_from("fpu"), checker=st.sampled_from("ab"))
    def hang(self, node: int, letter: str, checker: str) -> None:
        """An owner claims a check and stands still before it can report."""
        if (asked := self._claim(node, letter, checker)) is not None:
            self.hanging.append(asked)

    @precondition(lambda self: self.hanging)
    @rule(which=st.integers(0, 9))
    def go_on(self, which: int) -> None:
        self._report(self.hanging.pop(which % len(self.hanging)))

    @rule(fleet=st.sampled_from(FLEETS))
    def believe(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.wait(0.5)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for left in self.left.values():
            left.passed += seconds
        self.take(step(self.pool, self.fleet, self.now))

    @rule(seconds=steps, looked_at=st.booleans())
    def set_clock(self, seconds: float, looked_at: bool) -> None:
        """The pool may be looked at before anything else happens, or not."""
        self.now += seconds
        for left in self.left.values():
            left.set_forth |= seconds > 0
        if looked_at:
            self.wait(0.0)

    @rule(node=nodes, good=st.sampled_from([0, 3]), bad=st.sampled_from([0, 4]))
    def calls(self, node: int, good: int, bad: int) -> None:
        self.take(report(self.pool, self.fleet, self.now, node, Report((Calls(good, bad, self.now),))))

    @rule(node=nodes, state=st.sampled_from([AdminState.ENABLED, *AdminState]))
    def order(self, node: int, state: AdminState) -> None:
        with suppress(Refused):
            self.take(set_admin(self.pool, self.fleet, self.now, node, state, "alice", override=frozenset(Guard)))

    def teardown(self) -> None:
        """However it came to be, nothing of it lasts once all are well."""
        if not hasattr(self, "pool"):
            return
        self.believe(Fleet(believed=2))
        for node in (1, 2, 3):
            self.order(node, AdminState.ENABLED)
        for _ in range(30):
            self.wait(10.0)
            self.take(step(self.pool, self.fleet, self.now, observations={n: self._see("p", "a") for n in (1, 2, 3)}))
            for node in [each.id for each in self.pool.members if each.breaker.state == State.HALF_OPEN]:
                self.calls(node, 3, 0)
        assert all(eligible(node) and node.failure is None and node.ramp is None for node in self.pool.members)
        assert not +self.open

    # What the ledger does

    def _check(self, node: int, letter: str, checker: str) -> None:
        if (asked := self._claim(node, letter, checker)) is not None:
            self._report(asked)

    def _see(self, letter: str, checker: str) -> Observation:
        return replace(seen(letter, self.now), checker=checker)

    def _claim(self, node: int, letter: str, checker: str) -> Asked | None:
        health = self._node(node).health
        until = health.confirm_until
        if until is not None and until > self.now and checker in health.seen_by and self.fleet.believed > 1:
            return None  # left to the other one
        self.term_numbers[node] += 1
        return Asked(node, self.term_numbers[node], self._see(letter, checker))

    def _report(self, asked: Asked) -> None:
        if asked.term_number == self.term_numbers[asked.node]:
            observations = {asked.node: replace(asked.observation, ended_at=self.now)}
            self.take(step(self.pool, self.fleet, self.now, observations=observations), observations)

    def _node(self, number: int) -> Member:
        return self.pool.members[number - 1]

    # What must hold of each step

    def take(self, done: Step, observations: dict[int, Observation] | None = None) -> None:
        before, self.pool = self.pool, done.pool
        for old, new in zip(before.members, self.pool.members, strict=True):
            assert _ends(done, old) == (old.failure is not None and new.failure is None)
            if _marked(old, new):
                self._may_be_marked(old, new, observations or {})
            self._note_left(old, new)
        self._follow_troubles(done)
        if self.fleet.isolated is not None:
            assert all(each.actor != "engine" or each.refused_by is not None for each in done.decisions)

    def _may_be_marked(self, old: Member, new: Member, observations: dict[int, Observation]) -> None:
        """Nobody is marked while no checker is believed, nor on one checker's word before the other had its time."""
        assert self.fleet.isolated is None
        if self.fleet.believed < 2 or old.id not in observations or len(new.health.seen_by) > 1:
            return
        left = self.left[old.id]
        assert left.set_forth or left.passed >= left.seconds - SPARE

    def _note_left(self, old: Member, new: Member) -> None:
        until = new.health.confirm_until
        if until is None:
            self.left.pop(new.id, None)
        elif old.health.confirm_until is None:
            self.left[new.id] = Left(until - self.now)

    def _follow_troubles(self, done: Step) -> None:
        for each in done.events:
            row = TABLE[each.type]
            for trouble, by in ((row.begins, 1), (row.ends, -1)):
                if trouble is not None and trouble is not TroubleType.FAILURE:
                    self.open[trouble, each.node] += by
                    assert self.open[trouble, each.node] in (0, 1)

    @invariant()
    def shares_are_all_or_nothing(self) -> None:
        if hasattr(self, "pool"):
            assert sum(node.share for node in self.pool.members) in (0, FULL_SHARE)
            assert all(node.share >= 0 for node in self.pool.members)

    @invariant()
    def nothing_waits_longer_than_it_was_made_for(self) -> None:
        """Once the clock is looked at: no past lies ahead, and no end is further off than from its beginning."""
        if not hasattr(self, "pool"):
            return
        looked_at = step(self.pool, self.fleet, self.now).pool
        assert max(_past(looked_at)) <= self.now
        for node in looked_at.members:
            health, breaker, failure = node.health, node.breaker, node.failure
            confirmation = LONGEST_CONFIRMATION * fast_interval(node.health_policy)
            assert health.confirm_until is None or health.confirm_until <= self.now + confirmation
            assert breaker.opened_at is None or breaker.opened_at <= self.now
            assert all(lease.ends_at <= self.now + node.breaker_policy.trial_timeout for lease in breaker.trials)
            assert failure is None or failure.verify_until is None or failure.verify_until <= self.now + 20.0


def _marked(old: Member, new: Member) -> bool:
    """A check failed the node, or opened the breaker of one that had not failed."""
    if old.health.status == Health.FAILED:
        return False
    failed = new.health.status == Health.FAILED and old.health.status != Health.RECOVERING
    opened = old.breaker.state == State.CLOSED and new.breaker.state == State.OPEN and new.breaker.opened_by != Origin.CALLS
    return failed or opened


def _ends(done: Step, node: Member) -> int:
    ends = (EventType.RECOVERY_COMPLETED, EventType.FAILURE_ENDED)
    return sum(each.node == node.id and each.type in ends for each in done.events)


def _past(pool: Pool) -> list[float]:
    """When it happened, all that a pool remembers."""
    found = [pool.last_failover_at, pool.better_tier_since, pool.rebalanced_at]
    for node in pool.members:
        found += [node.health.since, node.health.observed_at, node.health.first_bad_at, node.breaker.stats.last_change]
        found += [node.ramp.since if node.ramp else None]
        found += [node.failure.marked_at, node.failure.moved_at, node.failure.verify_after] if node.failure else []
    return [each for each in found if each is not None]


TestPoolWatched = PoolWatched.TestCase
TestPoolWatched.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # to shrink an example takes longer than a test may
)
