"""What holds for a pool whatever its nodes do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.commands import set_admin
from nodes.engine.enums import AdminState, EventType, Guard, State, Strategy
from nodes.engine.health import stale
from nodes.engine.outlook import outlook
from nodes.engine.pool_step import decide, step
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.shares import eligible, failover_pending, ideal_shares, on_trial, receivers
from nodes.engine.step import Refused, Step
from nodes.engine.types import (
    FULL_SHARE,
    TRIAL_SHARE,
    BreakerPolicy,
    Fleet,
    HealthPolicy,
    Hold,
    Member,
    Observation,
    Pool,
    PoolPolicy,
)
from tests.engine.pooling import START, make_pool, quiet, seen

FLEET = Fleet()
EVERY = frozenset(Guard)

pools = st.builds(
    lambda nodes, active_passive, panic, percent, cooldown, slow_start, threshold, breaker: replace(
        make_pool(
            weights=[weight for weight, _ in nodes],
            policy=PoolPolicy(panic_threshold=panic, max_failed_percent=percent, cooldown=cooldown, slow_start=slow_start),
            health=HealthPolicy(failure_threshold=threshold),
            breaker=BreakerPolicy(failure_threshold=breaker, timeout=10.0),
        ),
        strategy=Strategy.ACTIVE_PASSIVE if active_passive else Strategy.WEIGHTED,
    ),
    st.lists(st.tuples(st.sampled_from([0, 1, 100, 100, 300]), st.integers(1, 2)), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 0.5]),
    st.sampled_from([100, 100, 30]),
    st.sampled_from([0.0, 0.0, 15.0]),
    st.sampled_from([0.0, 0.0, 30.0]),
    st.integers(1, 3),
    st.integers(1, 4),
)
Turns = list[tuple[float, str, tuple[int, AdminState | tuple[int, int]] | None]]
# A turn: seconds that pass, a verdict for each node ("-": not seen), and perhaps something about one node beside the checks:
# an order of a person, or how many reported calls ended well and badly.
BESIDE = (*AdminState, AdminState.ENABLED, (0, 4), (0, 4), (3, 0), (3, 0), (2, 1))


def drawn(seed: int) -> Turns:
    """Twenty turns that chance drew: hypothesis draws lists too short to bring a pool through all that can happen to it."""
    chance = Random(seed)
    return [
        (
            chance.choice([1.0, 2.0, 3.0, 11.0, 11.0, 70.0, 400.0]),
            "".join(chance.choices("pppppfffwu-", k=5)),
            (chance.randint(1, 5), chance.choice(BESIDE)) if chance.random() < 0.4 else None,
        )
        for _ in range(20)
    ]


turns = st.integers(0, 2**32).map(drawn)


def observations(pool: Pool, letters: str, now: float) -> dict[int, Observation]:
    return {node.id: seen(letter, now) for node, letter in zip(pool.members, letters, strict=False) if letter != "-"}


def play(pool: Pool, script: Turns, fleet: Fleet = FLEET) -> Iterator[tuple[Pool, Step, float]]:
    """Each step with the pool before it and its instant."""
    now = START
    for wait, letters, order in script:
        now += wait
        if order is not None and order[0] <= len(pool.members):
            with suppress(Refused):
                done = beside(pool, fleet, now, *order)
                yield pool, done, now
                pool = done.pool
        done = step(pool, fleet, now, observations=observations(pool, letters, now))
        yield pool, done, now
        pool = done.pool


def beside(pool: Pool, fleet: Fleet, now: float, node: int, what: AdminState | tuple[int, int]) -> Step:
    if isinstance(what, AdminState):
        return set_admin(pool, fleet, now, node, what, "alice", "test", override=EVERY)
    return report(pool, fleet, now, node, Report((Calls(*what, now),)))


def total(pool: Pool) -> int:
    return sum(node.share for node in pool.members)


@given(pools, turns)
def test_shares_sum_to_all_or_to_nothing_and_none_is_negative(pool: Pool, script: Turns) -> None:
    for _, done, _ in play(pool, script):
        assert total(done.pool) in (0, FULL_SHARE)
        assert all(node.share >= 0 for node in done.pool.members)


@given(pools, turns)
def test_the_epoch_grows_by_one_with_each_change_and_never_otherwise(pool: Pool, script: Turns) -> None:
    for before, done, _ in play(pool, script):
        epochs = [decision.epoch for decision in done.decisions if decision.refused_by is None]
        assert epochs == list(range(before.epoch + 1, done.pool.epoch + 1))
        moved = [node.share for node in before.members] != [node.share for node in done.pool.members]
        assert bool(epochs) or not moved


@given(pools, turns)
def test_no_share_is_newly_given_to_a_node_that_may_not_serve(pool: Pool, script: Turns) -> None:
    for before, done, _ in play(pool, script):
        held = {node.id: node.share for node in before.members}
        for node in done.pool.members:
            tried = on_trial(node) and node.ramp is not None and node.share <= TRIAL_SHARE
            assert node.share <= held[node.id] or ((eligible(node) or tried) and node.weight > 0)


@given(pools, turns)
def test_each_decision_leads_from_the_last_and_considers_every_node(pool: Pool, script: Turns) -> None:
    for before, done, _ in play(pool, script):
        shares = {node.id: node.share for node in before.members}
        for decision in done.decisions:
            assert dict(decision.before) == shares
            assert [each.node for each in decision.considered] == [node.id for node in before.members]
            assert decision.refused_by is None or dict(decision.after) == shares
            shares = dict(decision.after)
        assert shares == {node.id: node.share for node in done.pool.members}


@given(pools, turns)
def test_nodes_with_a_failover_pending_hold_nothing_while_anyone_can_receive_and_no_guard_holds(pool: Pool, script: Turns) -> None:
    free = replace(pool, policy=PoolPolicy())
    for _, done, _ in play(free, script):
        assert not (failover_pending(done.pool) and receivers(done.pool))


@given(pools, turns)
def test_a_second_look_at_the_same_instant_changes_nothing(pool: Pool, script: Turns) -> None:
    for _, done, now in play(pool, script):
        again = step(done.pool, FLEET, now)
        assert (again.pool, again.events, again.decisions) == (done.pool, (), ())


@given(pools, turns)
def test_what_decide_says_is_what_the_next_step_does(pool: Pool, script: Turns) -> None:
    for _, done, now in play(pool, script):
        due = decide(done.pool, FLEET, now)
        assert due is None or due.refused_by is not None


@given(pools, turns, st.text("pppppwfu", min_size=5, max_size=5), st.sampled_from([0.5, 9.0, 70.0]))
def test_a_quiet_check_changes_nothing_but_when_it_was_made(pool: Pool, script: Turns, letters: str, wait: float) -> None:
    now = START + sum(wait for wait, _, _ in script)
    for _, done, _ in play(pool, script):
        pool = done.pool
    now += wait
    for node, letter in zip(pool.members, letters, strict=False):
        observation = seen(letter, now)
        if quiet(pool, node, observation) and not stale(node.health, node.health_policy, node.admin, now):
            with_it, without = step(pool, FLEET, now, observations={node.id: observation}), step(pool, FLEET, now)
            assert (with_it.events, with_it.decisions) == (without.events, without.decisions)
            assert _unseen(with_it.pool, node.id) == _unseen(without.pool, node.id)


def _unseen(pool: Pool, node_id: int) -> tuple[Member, ...]:
    """The nodes, this one without what every check leaves behind."""
    return tuple(
        replace(
            node,
            health=replace(node.health, observed_at=None, stale=False, results=1),
            breaker=replace(node.breaker, stats=replace(node.breaker.stats, total=0, successful=0)),
        )
        if node.id == node_id
        else node
        for node in pool.members
    )


@given(pools, turns)
def test_once_all_are_well_for_long_everybody_holds_the_ideal_and_no_failure_is_open(pool: Pool, script: Turns) -> None:
    now = START + sum(wait for wait, _, _ in script)
    for _, done, _ in play(pool, script):
        pool = done.pool
    members = tuple(replace(node, admin=AdminState.ENABLED) for node in pool.members)
    pool = replace(pool, members=members)
    for _ in range(60):
        now += 10.0
        pool = step(pool, FLEET, now, observations=observations(pool, "ppppp", now)).pool
        for node in [node for node in pool.members if node.breaker.state == State.HALF_OPEN]:
            pool = report(pool, FLEET, now, node.id, Report((Calls(5, 0, now),))).pool
    assert all(eligible(node) and node.failure is None and node.ramp is None for node in pool.members)
    assert {node.id: node.share for node in pool.members} == ideal_shares(pool) or not _far(pool)


def _far(pool: Pool) -> bool:
    ideal = ideal_shares(pool)
    return any(abs(node.share - ideal[node.id]) > max(1, min(100, ideal[node.id] / 10)) for node in pool.members)


@given(pools, turns)
def test_nothing_moves_by_itself_while_automation_is_paused(pool: Pool, script: Turns) -> None:
    paused = Fleet(paused=Hold("change freeze", "alice"))
    quiet_script: Turns = [(wait, letters, None) for wait, letters, _ in script]
    for before, done, _ in play(
        step(pool, FLEET, START, observations=observations(pool, "ppppp", START)).pool, quiet_script, paused
    ):
        assert [node.share for node in before.members] == [node.share for node in done.pool.members]


@given(pools, turns)
def test_time_alone_does_what_is_due_at_the_waking(pool: Pool, script: Turns) -> None:
    """Waking at the instant a step names never comes too early to see that instant pass."""
    for _, done, now in play(pool, script):
        assert done.wake_at is None or done.wake_at > now
        if done.wake_at is not None:
            woken = step(done.pool, FLEET, done.wake_at)
            assert woken.wake_at is None or woken.wake_at > done.wake_at


@given(pools, turns)
def test_waking_early_or_at_the_named_instant_comes_to_the_same_shares(pool: Pool, script: Turns) -> None:
    for _, done, _ in play(pool, script):
        if done.wake_at is not None:
            at_once = step(done.pool, FLEET, done.wake_at).pool
            before = step(done.pool, FLEET, done.wake_at - 0.001).pool
            later = step(before, FLEET, done.wake_at).pool
            assert [node.share for node in later.members] == [node.share for node in at_once.members]


@given(pools, turns, st.integers(0, 2**32))
def test_a_refusal_is_told_once_a_guard_and_failure(pool: Pool, script: Turns, seed: int) -> None:
    chance, now, told = Random(seed), START, set[tuple[int, object]]()
    for wait, letters, _ in script:
        now += wait
        fleet = chance.choice([FLEET, FLEET, Fleet(paused=Hold("freeze", "alice"))])
        pool = (done := step(pool, fleet, now, observations=observations(pool, letters, now))).pool
        refusals = [(each.node or 0, each.detail["guard"]) for each in done.events if each.type == EventType.FAILOVER_REFUSED]
        assert len(refusals) == len(set(refusals) - told) == sum(each.refused_by is not None for each in done.decisions)
        failing = {node.id for node in pool.members if node.failure is not None}
        told = {each for each in told.union(refusals) if each[0] in failing}


@given(pools, turns)
def test_no_failover_is_pending_for_a_node_on_trial(pool: Pool, script: Turns) -> None:
    for _, done, _ in play(pool, script):
        assert not any(on_trial(node) for node in failover_pending(done.pool))


@given(pools, turns, st.integers(0, 4))
def test_what_would_happen_now_is_what_then_happens(pool: Pool, script: Turns, chosen: int) -> None:
    """The prospect of a node, and the decision when it really fails its checks at the same instant."""
    for _, done, now in play(pool, script):
        pool = done.pool
        prospects = [each for each in outlook(pool, FLEET, now) if not each.waits and eligible(each.node)]
        if len(prospects) <= chosen:
            continue
        node, said = prospects[chosen].node, prospects[chosen].decision
        last = replace(node.health, fails=node.health_policy.failure_threshold - 1)
        pool = replace(pool, members=tuple(replace(each, health=last) if each.id == node.id else each for each in pool.members))
        decisions = step(pool, FLEET, now, observations={node.id: seen("f", now)}).decisions
        done_then = next(each for each in decisions if each.node == node.id)
        assert (done_then.after, done_then.refused_by, done_then.epoch) == (said.after, said.refused_by, said.epoch)
        assert [(each.guard, each.blocks) for each in done_then.guards] == [(each.guard, each.blocks) for each in said.guards]
